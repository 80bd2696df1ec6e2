// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vgpu_stub: driver of the vgpu-stub PCI device.
 *
 * The module, its parameters, and the PCI side: probe, remove, shutdown, reset.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vgpu_drv.h"

unsigned int vgpu_slots = 2048;
module_param_named(slots, vgpu_slots, uint, 0644);
MODULE_PARM_DESC(slots, "Slots of 64 bytes in the request ring of a new session, 256 to 4096 (2048)");

unsigned int vgpu_buffers = 1024;
module_param_named(buffers, vgpu_buffers, uint, 0644);
MODULE_PARM_DESC(buffers, "Buffers that a new session may register, 1 to 4096 (1024)");

unsigned int vgpu_max_pinned_mib = 1024;
module_param_named(max_pinned_mib, vgpu_max_pinned_mib, uint, 0644);
MODULE_PARM_DESC(max_pinned_mib, "MiB that a session may pin, besides RLIMIT_MEMLOCK (1024)");

unsigned int vgpu_text_timeout_ms = 30000;
module_param_named(text_timeout_ms, vgpu_text_timeout_ms, uint, 0644);
MODULE_PARM_DESC(text_timeout_ms, "How long a text command waits for its answer (30000)");

unsigned int vgpu_start_timeout_ms = 10000;
module_param_named(start_timeout_ms, vgpu_start_timeout_ms, uint, 0644);
MODULE_PARM_DESC(start_timeout_ms, "How long an open waits for the host (10000)");

unsigned int vgpu_stop_timeout_ms = 15000;
module_param_named(stop_timeout_ms, vgpu_stop_timeout_ms, uint, 0644);
MODULE_PARM_DESC(stop_timeout_ms, "How long a close waits for the host before it leaves that to the background (15000)");

unsigned int vgpu_buffer_timeout_ms = 10000;
module_param_named(buffer_timeout_ms, vgpu_buffer_timeout_ms, uint, 0644);
MODULE_PARM_DESC(buffer_timeout_ms, "How long unregistering a buffer waits for requests that use it (10000)");

static struct vgpu_dev *vgpu_dev_alloc(struct pci_dev *pdev)
{
	struct vgpu_dev *vdev = kzalloc(sizeof(*vdev), GFP_KERNEL);
	int ret;

	if (!vdev)
		return ERR_PTR(-ENOMEM);
	vdev->pdev = pdev;
	init_rwsem(&vdev->gate);
	spin_lock_init(&vdev->select_lock);
	mutex_init(&vdev->command_lock);
	mutex_init(&vdev->sessions_lock);
	init_waitqueue_head(&vdev->wait);
	INIT_LIST_HEAD(&vdev->sessions);
	ida_init(&vdev->queues);
	INIT_DELAYED_WORK(&vdev->reap, vgpu_sessions_reap);
	ret = vgpu_chrdev_prepare(vdev, &pdev->dev);
	if (ret) {
		kfree(vdev);
		return ERR_PTR(ret);
	}
	if (vdev->minor)
		ret = dev_set_name(&vdev->dev, VGPU_NAME "%d", vdev->minor);
	else
		ret = dev_set_name(&vdev->dev, VGPU_NAME);
	if (ret) {
		put_device(&vdev->dev);
		return ERR_PTR(ret);
	}
	return vdev;
}

static int vgpu_bars_map(struct vgpu_dev *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	if (pci_resource_len(pdev, VGPU_BAR_REGS) < VGPU_BAR_REGS_SIZE)
		return -ENODEV;
	vdev->regs = pci_iomap(pdev, VGPU_BAR_REGS, VGPU_BAR_REGS_SIZE);
	if (!vdev->regs)
		return -ENOMEM;
	vdev->doorbells = pci_iomap(pdev, VGPU_BAR_DOORBELLS, 0);
	vdev->doorbells_phys = pci_resource_start(pdev, VGPU_BAR_DOORBELLS);
	if (vdev->doorbells)
		return 0;
	pci_iounmap(pdev, vdev->regs);
	return -ENOMEM;
}

static void vgpu_bars_unmap(struct vgpu_dev *vdev)
{
	pci_iounmap(vdev->pdev, vdev->doorbells);
	pci_iounmap(vdev->pdev, vdev->regs);
}

/* Opens the gate of a device that has been reset. */
static int vgpu_go_live(struct vgpu_dev *vdev)
{
	int ret = vgpu_regs_negotiate(vdev);

	if (ret)
		return ret;
	down_write(&vdev->gate);
	vdev->alive = true;
	vgpu_regs_listen(vdev);
	up_write(&vdev->gate);
	return 0;
}

static void vgpu_report(struct vgpu_dev *vdev)
{
	struct device *dev = &vdev->pdev->dev;
	u32 status = vgpu_read(vdev, VGPU_REG_STATUS);
	char reason[VGPU_REASON_TEXT_MAX];

	if (status & VGPU_STATUS_REFUSED) {
		vgpu_regs_reason(vdev, reason);
		dev_warn(dev, "%s: the host refuses this device: %s\n",
			 dev_name(&vdev->dev), *reason ? reason : "its log says why");
	}
	if (vdev->features & VGPU_F_QUEUES)
		dev_info(dev, "%s: %u queues, %u vectors, host %sconnected\n",
			 dev_name(&vdev->dev), vdev->max_queues, vdev->nvectors,
			 status & VGPU_STATUS_LINK ? "" : "not ");
	else if (status & VGPU_STATUS_UNSHARED)
		dev_warn(dev, "%s: %s\n", dev_name(&vdev->dev),
			 VGPU_UNSHARED_TEXT);
	else
		dev_warn(dev, "%s: the device offers no queues: text and small commands only\n",
			 dev_name(&vdev->dev));
}

/* From enabled PCI device to open gate; mirrored by vgpu_stop(). */
static int vgpu_start(struct vgpu_dev *vdev)
{
	int ret = vgpu_bars_map(vdev);

	if (ret)
		return ret;
	ret = vgpu_regs_identify(vdev);
	if (!ret)
		ret = vgpu_regs_reset(vdev);
	if (ret)
		goto out_unmap;
	ret = vgpu_irq_setup(vdev);
	if (ret)
		goto out_unmap;
	ret = vgpu_go_live(vdev);
	if (ret)
		goto out_irq;
	return 0;

out_irq:
	vgpu_irq_teardown(vdev);
out_unmap:
	vgpu_bars_unmap(vdev);
	return ret;
}

static void vgpu_stop(struct vgpu_dev *vdev)
{
	vgpu_quiesce(vdev, true);
	vgpu_irq_teardown(vdev);
	vgpu_bars_unmap(vdev);
}

static int vgpu_pci_enable(struct pci_dev *pdev)
{
	int ret = pci_enable_device_mem(pdev);

	if (ret)
		return ret;
	ret = pci_request_mem_regions(pdev, VGPU_NAME);
	if (ret)
		goto out_disable;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		goto out_release;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	pci_set_master(pdev);
	return 0;

out_release:
	pci_release_mem_regions(pdev);
out_disable:
	pci_disable_device(pdev);
	return ret;
}

static void vgpu_pci_disable(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
	pci_release_mem_regions(pdev);
	pci_disable_device(pdev);
}

static int vgpu_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vgpu_dev *vdev = vgpu_dev_alloc(pdev);
	int ret;

	if (IS_ERR(vdev))
		return PTR_ERR(vdev);
	ret = vgpu_pci_enable(pdev);
	if (ret)
		goto out_put;
	ret = vgpu_start(vdev);
	if (ret)
		goto out_disable;
	pci_set_drvdata(pdev, vdev);
	ret = vgpu_chrdev_add(vdev);
	if (ret)
		goto out_stop;
	vgpu_report(vdev);
	return 0;

out_stop:
	vgpu_stop(vdev);
out_disable:
	vgpu_pci_disable(pdev);
out_put:
	put_device(&vdev->dev);
	return ret;
}

static void vgpu_pci_remove(struct pci_dev *pdev)
{
	struct vgpu_dev *vdev = pci_get_drvdata(pdev);

	vgpu_chrdev_del(vdev);
	vgpu_stop(vdev);
	vgpu_pci_disable(pdev);
	put_device(&vdev->dev);
}

/* The device must not write to memory of the next kernel. */
static void vgpu_pci_shutdown(struct pci_dev *pdev)
{
	vgpu_quiesce(pci_get_drvdata(pdev), true);
	pci_clear_master(pdev);
}

static void vgpu_pci_reset_prepare(struct pci_dev *pdev)
{
	vgpu_quiesce(pci_get_drvdata(pdev), false);
}

/**
 * vgpu_revive - undo a vgpu_quiesce() that was not for good
 * @vdev: device
 *
 * Return: 0 or the negative errno with which the device failed.
 */
int vgpu_revive(struct vgpu_dev *vdev)
{
	int ret = vgpu_regs_reset(vdev);

	if (!ret)
		ret = vgpu_go_live(vdev);
	if (ret)
		dev_err(&vdev->pdev->dev, "not usable after a reset (%d)\n",
			ret);
	return ret;
}

static void vgpu_pci_reset_done(struct pci_dev *pdev)
{
	vgpu_revive(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers vgpu_pci_errors = {
	.reset_prepare = vgpu_pci_reset_prepare,
	.reset_done = vgpu_pci_reset_done,
};

static const struct pci_device_id vgpu_pci_ids[] = {
	{ PCI_DEVICE(VGPU_PCI_VENDOR_ID, VGPU_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, vgpu_pci_ids);

static struct pci_driver vgpu_pci_driver = {
	.name = VGPU_NAME,
	.id_table = vgpu_pci_ids,
	.probe = vgpu_pci_probe,
	.remove = vgpu_pci_remove,
	.shutdown = vgpu_pci_shutdown,
	.err_handler = &vgpu_pci_errors,
	.driver.pm = &vgpu_pm_ops,
};

static int __init vgpu_init(void)
{
	int ret = vgpu_chrdev_init();

	if (ret)
		return ret;
	ret = vgpu_pm_init();
	if (ret)
		goto out_chrdev;
	ret = pci_register_driver(&vgpu_pci_driver);
	if (ret)
		goto out_pm;
	return 0;

out_pm:
	vgpu_pm_exit();
out_chrdev:
	vgpu_chrdev_exit();
	return ret;
}

static void __exit vgpu_exit(void)
{
	pci_unregister_driver(&vgpu_pci_driver);
	vgpu_pm_exit();
	vgpu_chrdev_exit();
}

module_init(vgpu_init);
module_exit(vgpu_exit);

MODULE_DESCRIPTION("vgpu-stub paravirtual GPU");
MODULE_AUTHOR("The vgpu-stub developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
