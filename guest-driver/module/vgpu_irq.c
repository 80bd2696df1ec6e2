// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts: vector 0 reports events of the device, the others wake queues.
 */
#include <linux/interrupt.h>
#include <xen/xen.h>

#include "vgpu_drv.h"

/*
 * Xen gives an HVM guest 32 interrupts for the messages of all its devices.
 * Linux (seen with 6.1) hits a BUG when it gets fewer than it asked for.
 */
#define VGPU_XEN_VECTORS 16u

static void vgpu_link_report(struct vgpu_dev *vdev, u32 status, const char *reason)
{
	if (status & VGPU_STATUS_REFUSED)
		dev_warn_ratelimited(&vdev->dev, "the host refuses this device: %s\n",
				     *reason ? reason : "its log says why");
	else if (status & VGPU_STATUS_LINK && status & VGPU_STATUS_UNSHARED)
		dev_warn_ratelimited(&vdev->dev, "host connected, but %s\n",
				     VGPU_UNSHARED_TEXT);
	else
		dev_info_ratelimited(&vdev->dev, "host %sconnected\n",
				     status & VGPU_STATUS_LINK ? "" : "dis");
}

static irqreturn_t vgpu_irq_events(int irq, void *data)
{
	struct vgpu_dev *vdev = data;
	char reason[VGPU_REASON_TEXT_MAX] = "";
	u32 events, status;

	if (vgpu_dev_enter(vdev))
		return IRQ_HANDLED;
	events = vgpu_read(vdev, VGPU_REG_INT_STATUS);
	vgpu_write(vdev, VGPU_REG_INT_STATUS, events);
	status = vgpu_read(vdev, VGPU_REG_STATUS);
	if (events & VGPU_INT_LINK && status & VGPU_STATUS_REFUSED)
		vgpu_regs_reason(vdev, reason);
	vgpu_dev_leave(vdev);

	if (events & VGPU_INT_LINK)
		vgpu_link_report(vdev, status, reason);
	if (events & VGPU_INT_QUEUE)
		vgpu_sessions_refresh(vdev);
	wake_up_all(&vdev->wait);
	return events ? IRQ_HANDLED : IRQ_NONE;
}

static irqreturn_t vgpu_irq_queue(int irq, void *data)
{
	struct vgpu_session *s = data;

	wake_up_all(&s->wait);
	return IRQ_HANDLED;
}

/**
 * vgpu_irq_setup - get the vectors and listen on vector 0
 * @vdev: device; the gate is shut until it is ready
 *
 * Vector 0 has a threaded handler, since finding out which queue changed may
 * take many register accesses.
 *
 * Return: 0 or a negative errno.
 */
int vgpu_irq_setup(struct vgpu_dev *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 want = clamp(vgpu_read(vdev, VGPU_REG_NUM_VECTORS), 1u,
			 VGPU_QUEUES_MAX + 1);
	int ret;

	if (xen_domain())
		want = min(want, VGPU_XEN_VECTORS);
	ret = pci_alloc_irq_vectors(pdev, 1, want, PCI_IRQ_MSIX);
	if (ret < 0) {
		dev_err(&pdev->dev, "no MSI-X vector (%d)\n", ret);
		return ret;
	}
	vdev->nvectors = ret;
	ret = request_threaded_irq(pci_irq_vector(pdev, 0), NULL,
				   vgpu_irq_events, IRQF_ONESHOT,
				   dev_name(&vdev->dev), vdev);
	if (ret)
		pci_free_irq_vectors(pdev);
	return ret;
}

/**
 * vgpu_irq_teardown - undo vgpu_irq_setup()
 * @vdev: device without attached sessions
 */
void vgpu_irq_teardown(struct vgpu_dev *vdev)
{
	free_irq(pci_irq_vector(vdev->pdev, 0), vdev);
	pci_free_irq_vectors(vdev->pdev);
}

/**
 * vgpu_irq_attach - listen for the interrupt of a session's queue
 * @s: session with a queue number
 *
 * Return: 0 or a negative errno.
 */
int vgpu_irq_attach(struct vgpu_session *s)
{
	struct vgpu_dev *vdev = s->vdev;
	unsigned int vector = 1 + s->queue % (vdev->nvectors - 1);

	s->irq = pci_irq_vector(vdev->pdev, vector);
	snprintf(s->name, sizeof(s->name), "%s-q%u", dev_name(&vdev->dev),
		 s->queue);
	return request_irq(s->irq, vgpu_irq_queue, IRQF_SHARED, s->name, s);
}

/**
 * vgpu_irq_detach - undo vgpu_irq_attach()
 * @s: session
 *
 * Context: Process context; waits for a handler that runs.
 */
void vgpu_irq_detach(struct vgpu_session *s)
{
	free_irq(s->irq, s);
}
