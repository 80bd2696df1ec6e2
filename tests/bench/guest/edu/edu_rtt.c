// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * edu_rtt: the round trip of QEMU's "edu" device, as a reference for ours.
 *
 * Each read() of /dev/edu_rtt writes the register that raises the device's MSI
 * and returns once the handler has woken the reader: one register write, one
 * interrupt, one wake-up.  One device only; for measuring, not for production.
 */
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
#define EDU_RAISE 0x60
#define EDU_ACK 0x64

static DEFINE_MUTEX(edu_lock); /* edu_present, one round trip at a time */
static DECLARE_WAIT_QUEUE_HEAD(edu_wait);
static void __iomem *edu_regs; /* valid while the interrupt is requested */
static bool edu_present;
static u32 edu_count;

static irqreturn_t edu_irq(int irq, void *data)
{
	iowrite32(1, edu_regs + EDU_ACK);
	WRITE_ONCE(edu_count, edu_count + 1);
	wake_up(&edu_wait);
	return IRQ_HANDLED;
}

/* Called with edu_lock held. */
static int edu_round_trip(void)
{
	u32 before = READ_ONCE(edu_count);
	long ret;

	if (!edu_present)
		return -ENODEV;
	iowrite32(1, edu_regs + EDU_RAISE);
	ret = wait_event_interruptible_timeout(edu_wait,
					       READ_ONCE(edu_count) != before,
					       HZ);
	if (ret < 0)
		return -EINTR;
	return ret ? 0 : -ETIMEDOUT;
}

static ssize_t edu_read(struct file *file, char __user *buf, size_t count,
			loff_t *pos)
{
	u32 seen;
	int ret;

	if (count < sizeof(seen))
		return -EINVAL;
	if (mutex_lock_interruptible(&edu_lock))
		return -EINTR;
	ret = edu_round_trip();
	seen = READ_ONCE(edu_count);
	mutex_unlock(&edu_lock);
	if (ret)
		return ret;
	return copy_to_user(buf, &seen, sizeof(seen)) ? -EFAULT : sizeof(seen);
}

static const struct file_operations edu_fops = {
	.owner = THIS_MODULE,
	.read = edu_read,
};

static struct miscdevice edu_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "edu_rtt",
	.fops = &edu_fops,
	.mode = 0444,
};

static void edu_set_present(bool present)
{
	mutex_lock(&edu_lock);
	edu_present = present;
	mutex_unlock(&edu_lock);
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = pcim_enable_device(pdev);

	if (ret)
		return ret;
	if (edu_present)
		return -EBUSY;
	edu_regs = pcim_iomap(pdev, 0, 0);
	if (!edu_regs)
		return -ENOMEM;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	if (ret < 0)
		return ret;
	ret = request_irq(pci_irq_vector(pdev, 0), edu_irq, 0, "edu_rtt", pdev);
	if (ret)
		goto out_vectors;
	edu_set_present(true);
	ret = misc_register(&edu_misc);
	if (ret)
		goto out_irq;
	return 0;

out_irq:
	edu_set_present(false);
	free_irq(pci_irq_vector(pdev, 0), pdev);
out_vectors:
	pci_free_irq_vectors(pdev);
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	misc_deregister(&edu_misc);
	edu_set_present(false);
	free_irq(pci_irq_vector(pdev, 0), pdev);
	pci_free_irq_vectors(pdev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "edu_rtt",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("Round trip of QEMU's edu device, a reference for measuring");
MODULE_AUTHOR("The vgpu-stub developers");
MODULE_LICENSE("GPL");
