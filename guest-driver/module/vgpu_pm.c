// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sleep, hibernation, and a host that saves the VM.
 */
#include <linux/notifier.h>
#include <linux/suspend.h>
#include <xen/xen.h>

#include "vgpu_drv.h"

/* The kernel hibernates, or is about to be replaced by one that did. */
static bool vgpu_hibernating;

static int vgpu_pm_event(struct notifier_block *nb, unsigned long event,
			 void *data)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(vgpu_hibernating, true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		WRITE_ONCE(vgpu_hibernating, false);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block vgpu_pm_notifier = {
	.notifier_call = vgpu_pm_event,
};

int vgpu_pm_init(void)
{
	return register_pm_notifier(&vgpu_pm_notifier);
}

void vgpu_pm_exit(void)
{
	unregister_pm_notifier(&vgpu_pm_notifier);
}

/*
 * Sleep costs the device its state and the host its view of our memory, so
 * sessions do not survive it; files that are opened afterwards work.
 */
static int __maybe_unused vgpu_pm_suspend(struct device *dev)
{
	vgpu_quiesce(dev_get_drvdata(dev), false);
	return 0;
}

static int __maybe_unused vgpu_pm_resume(struct device *dev)
{
	return vgpu_revive(dev_get_drvdata(dev));
}

/*
 * Freezing without hibernation is what Linux does when Xen's toolstack wants to
 * save or migrate the VM.  The host refuses that, only later; then all is thawed,
 * and nothing has become of the device, so sessions are left alone.
 *
 * An error from here would be no good refusal: the toolstack waits a minute for
 * the guest, and Linux's do_suspend() wakes none of the devices that it had put to
 * sleep before this one.
 */
static int __maybe_unused vgpu_pm_freeze(struct device *dev)
{
	struct vgpu_dev *vdev = dev_get_drvdata(dev);

	vdev->left_alone = xen_domain() && !READ_ONCE(vgpu_hibernating);
	if (!vdev->left_alone)
		return vgpu_pm_suspend(dev);
	dev_warn(dev, "the host is about to save this VM, which cannot be done while it has this device\n");
	return 0;
}

static int __maybe_unused vgpu_pm_thaw(struct device *dev)
{
	struct vgpu_dev *vdev = dev_get_drvdata(dev);

	if (!vdev->left_alone)
		return vgpu_pm_resume(dev);
	vdev->left_alone = false;
	dev_info(dev, "the VM was not saved; sessions go on\n");
	return 0;
}

/* It was saved all the same, and is another VM now. */
static int __maybe_unused vgpu_pm_restore(struct device *dev)
{
	struct vgpu_dev *vdev = dev_get_drvdata(dev);

	if (vdev->left_alone) {
		vdev->left_alone = false;
		dev_err(dev, "the VM was saved and restored: all sessions are lost\n");
		vgpu_quiesce(vdev, false);
	}
	return vgpu_pm_resume(dev);
}

const struct dev_pm_ops vgpu_pm_ops = {
#ifdef CONFIG_PM_SLEEP
	.suspend = vgpu_pm_suspend,
	.resume = vgpu_pm_resume,
	.freeze = vgpu_pm_freeze,
	.thaw = vgpu_pm_thaw,
	.poweroff = vgpu_pm_suspend,
	.restore = vgpu_pm_restore,
#endif
};
