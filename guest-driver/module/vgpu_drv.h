/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu_stub: what the driver's files share.
 *
 * Theory of operation
 *
 * Each open file is a session (struct vgpu_session) with a queue of the device.
 * The queue's memory belongs to the host from START until the device reports
 * STOPPED; only then is it unmapped and freed ("detached").  A file that is
 * closed while the host still holds the queue leaves a closed session on the
 * device's list, which the reaper frees later.
 *
 * The device may go away (remove), be reset or sleep under open files.
 * vgpu_quiesce() then shuts the gate, resets the device and detaches every session; the files
 * stay open and report -ENODEV or -EIO.
 *
 * Locks, outermost first:
 *   sessions_lock   the list of sessions; attaching and detaching them
 *   session->lock   the kernel's side of the rings, text commands
 *   command_lock    one register command at a time
 *   buffers_lock    the session's buffers
 *   gate            read: registers may be touched; write: alive changes
 *   select_lock     QUEUE_SELECT and what follows it
 * The fault handlers take the gate under mmap_lock, so user memory is never
 * touched with the gate held.  Unpinning may wait for whoever serves the page,
 * a FUSE process for instance, so it is done under none of these locks.
 */
#ifndef VGPU_DRV_H
#define VGPU_DRV_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "vgpu_abi.h"
#include "uapi/vgpu_stub.h"

#define VGPU_NAME "vgpu_stub"
/* the device gives the host 10 s to answer and 2 s more; see stop_timeout_ms */
#define VGPU_RESET_TIMEOUT_MS 15000
#define VGPU_NO_QUEUE U32_MAX

struct vgpu_session;

/**
 * struct vgpu_dev - one PCI device
 * @dev: the character device; its release frees this structure
 * @cdev: the file operations
 * @pdev: the PCI device, valid while @alive
 * @minor: of the character device
 * @regs: BAR 0
 * @doorbells: BAR 2
 * @doorbells_phys: BAR 2 as user mappings see it
 * @abi_version: of the device
 * @features: those in force
 * @nvectors: MSI-X vectors that we got
 * @max_queues: doorbells of the device
 * @max_slots: largest ring
 * @max_buffers: largest buffer table
 * @gate: guards @alive; held for reading while registers are touched
 * @alive: registers may be touched
 * @gone: removed; never comes back
 * @left_alone: frozen without anything being done to it
 * @select_lock: QUEUE_SELECT and the registers that depend on it
 * @command_lock: register commands, one at a time
 * @wait: register commands, queues that become free
 * @sessions_lock: @sessions and their attachment
 * @sessions: all sessions, closed ones that still have a queue included
 * @queues: numbers of the queues in use
 * @closing: sessions on their way out
 * @reap: frees closed sessions once their queue is STOPPED
 */
struct vgpu_dev {
	struct device dev;
	struct cdev cdev;
	struct pci_dev *pdev;
	int minor;
	void __iomem *regs;
	void __iomem *doorbells;
	phys_addr_t doorbells_phys;
	u32 abi_version;
	u64 features;
	unsigned int nvectors;
	u32 max_queues;
	u32 max_slots;
	u32 max_buffers;

	struct rw_semaphore gate;
	bool alive;
	bool gone;
	bool left_alone;
	spinlock_t select_lock; /* QUEUE_SELECT and what follows it; refusal */
	char refusal[VGPU_REASON_TEXT_MAX]; /* of the last session, or empty */
	struct mutex command_lock; /* one register command at a time */
	wait_queue_head_t wait;

	struct mutex sessions_lock; /* the list, attaching, detaching */
	struct list_head sessions;
	struct ida queues;
	atomic_t closing;
	struct delayed_work reap;
};

/**
 * struct vgpu_list_page - a page of a buffer's segment list
 * @page: the segments
 * @dma: its address on the device
 */
struct vgpu_list_page {
	struct vgpu_segment_page *page;
	dma_addr_t dma;
};

/**
 * struct vgpu_buffer - pinned memory of a process
 * @node: in a list of buffers that only wait for vgpu_buffers_release()
 * @pages: the pinned pages
 * @npages: how many
 * @length: bytes, as registered
 * @write: the device may write it
 * @dying: unregistered; waits for the host to let go
 * @mm: whose limit of pinned memory it counts against
 * @sgt: the pages as runs, mapped for the device if @mapped
 * @mapped: @sgt is mapped
 * @list: pages of the segment list
 * @nlist: how many are mapped
 */
struct vgpu_buffer {
	struct list_head node;
	struct page **pages;
	unsigned long npages;
	u64 length;
	bool write;
	bool dying;
	struct mm_struct *mm;
	struct sg_table sgt;
	bool mapped;
	struct vgpu_list_page *list;
	unsigned int nlist;
};

/**
 * enum vgpu_mode - who uses the rings
 * @VGPU_MODE_IDLE: nobody yet
 * @VGPU_MODE_KERNEL: read() and write()
 * @VGPU_MODE_MAPPED: the process, for good; the module trusts nothing in them
 * @VGPU_MODE_REGISTERS: there are none, commands go through the registers
 */
enum vgpu_mode {
	VGPU_MODE_IDLE,
	VGPU_MODE_KERNEL,
	VGPU_MODE_MAPPED,
	VGPU_MODE_REGISTERS,
};

/**
 * struct vgpu_session - one open file
 * @vdev: its device, referenced
 * @node: in @vdev->sessions
 * @mapping: of the open file, to find user mappings of the doorbell
 * @mode: enum vgpu_mode; leaves VGPU_MODE_IDLE once, by cmpxchg
 * @closed: the file is closed
 * @attached: queue number, interrupt and mappings are held
 * @leak: the host may still use the memory: never free it
 * @lost: 0, or why the session is over (negative errno)
 * @state: last known VGPU_QUEUE_STATE_*
 * @queue: number of the queue or VGPU_NO_QUEUE
 * @irq: interrupt of the queue
 * @name: of the interrupt
 * @wait: woken by the queue's interrupt and by changes of @state and @lost
 * @ring: header and rings
 * @ring_bytes: their size
 * @ring_dma: their address on the device
 * @req_slots: slots of the request ring
 * @rsp_slots: slots of the response ring
 * @table: the buffer table, never mapped to a process
 * @table_bytes: its size
 * @table_dma: its address on the device
 * @sink: stands in for the doorbell once the device is gone
 * @lock: the fields from here to @answer_done
 * @req_prod: our index in the request ring
 * @rsp_cons: our index in the response ring
 * @inflight: requests whose response was not read
 * @stale: of them, those nobody waits for any more
 * @text: the last write() was a text command
 * @record: for a response, VGPU_RECORD_MAX bytes
 * @answer: answer for read(), VGPU_RECORD_MAX bytes
 * @answer_len: its length, 0 for none
 * @answer_done: of it, what was read
 * @buffers_lock: the fields from here on
 * @buffers: by handle
 * @nbuffers: entries of @buffers and @table
 * @generation: of the last buffer
 * @pinned: bytes that are, or are about to be, pinned
 */
struct vgpu_session {
	struct vgpu_dev *vdev;
	struct list_head node;
	struct address_space *mapping;
	atomic_t mode;
	bool closed;
	bool attached;
	bool leak;
	int lost;
	u32 state;
	u32 queue;
	int irq;
	char name[32];
	wait_queue_head_t wait;

	void *ring;
	size_t ring_bytes;
	dma_addr_t ring_dma;
	u32 req_slots;
	u32 rsp_slots;
	struct vgpu_buffer_entry *table;
	size_t table_bytes;
	dma_addr_t table_dma;
	struct page *sink;

	struct mutex lock; /* kernel's side of the rings, answers */
	u32 req_prod;
	u32 rsp_cons;
	u32 inflight;
	u32 stale;
	bool text;
	void *record;
	char *answer;
	u32 answer_len;
	u32 answer_done;

	struct mutex buffers_lock; /* buffers, generation, pinned */
	struct vgpu_buffer **buffers;
	u32 nbuffers;
	u32 generation;
	u64 pinned;
};

/* vgpu_pci.c: module parameters */
extern unsigned int vgpu_text_timeout_ms;
extern unsigned int vgpu_start_timeout_ms;
extern unsigned int vgpu_stop_timeout_ms;
extern unsigned int vgpu_buffer_timeout_ms;
extern unsigned int vgpu_max_pinned_mib;
extern unsigned int vgpu_slots;
extern unsigned int vgpu_buffers;

/* vgpu_regs.c */
int vgpu_dev_enter(struct vgpu_dev *vdev);
void vgpu_dev_leave(struct vgpu_dev *vdev);
int vgpu_regs_identify(struct vgpu_dev *vdev);
void vgpu_regs_reason_locked(struct vgpu_dev *vdev, char *text);
void vgpu_regs_reason(struct vgpu_dev *vdev, char *text);
int vgpu_regs_reset(struct vgpu_dev *vdev);
int vgpu_regs_negotiate(struct vgpu_dev *vdev);
void vgpu_regs_listen(struct vgpu_dev *vdev);
int vgpu_regs_command(struct vgpu_session *s, const struct vgpu_request *req,
		      u32 length, struct vgpu_response *rsp);
int vgpu_errno(s32 status);

static inline u32 vgpu_read(struct vgpu_dev *vdev, u32 reg)
{
	return ioread32(vdev->regs + reg);
}

static inline void vgpu_write(struct vgpu_dev *vdev, u32 reg, u32 value)
{
	iowrite32(value, vdev->regs + reg);
}

/* vgpu_pci.c */
int vgpu_revive(struct vgpu_dev *vdev);

/* vgpu_pm.c */
extern const struct dev_pm_ops vgpu_pm_ops;
int vgpu_pm_init(void);
void vgpu_pm_exit(void);

/* What is left to do for a device whose host does not see our memory. */
#define VGPU_UNSHARED_TEXT \
	"the host does not see this VM's memory: text and small commands only"

/* vgpu_irq.c */
int vgpu_irq_setup(struct vgpu_dev *vdev);
void vgpu_irq_teardown(struct vgpu_dev *vdev);
int vgpu_irq_attach(struct vgpu_session *s);
void vgpu_irq_detach(struct vgpu_session *s);

/* vgpu_session.c */
struct vgpu_session *vgpu_session_open(struct vgpu_dev *vdev,
				       struct address_space *mapping);
void vgpu_session_close(struct vgpu_session *s);
int vgpu_session_error(struct vgpu_session *s);
void vgpu_sessions_refresh(struct vgpu_dev *vdev);
void vgpu_sessions_reap(struct work_struct *work);
void vgpu_quiesce(struct vgpu_dev *vdev, bool gone);

/* vgpu_queue.c */
int vgpu_queue_alloc(struct vgpu_session *s);
void vgpu_queue_free(struct vgpu_session *s);
int vgpu_queue_map(struct vgpu_session *s);
void vgpu_queue_unmap(struct vgpu_session *s);
void vgpu_queue_start(struct vgpu_session *s);
void vgpu_queue_stop(struct vgpu_session *s);
void vgpu_queue_refresh(struct vgpu_session *s);
int vgpu_queue_wait_started(struct vgpu_session *s);
void vgpu_queue_wait_stopped(struct vgpu_session *s);

/* vgpu_ring.c */
int vgpu_ring_push(struct vgpu_session *s, const void *record, u32 length);
int vgpu_ring_peek(struct vgpu_session *s, void *record);
void vgpu_ring_advance(struct vgpu_session *s, u32 length);
bool vgpu_ring_readable(struct vgpu_session *s);
bool vgpu_ring_writable(struct vgpu_session *s);
bool vgpu_ring_moved(struct vgpu_session *s, u32 rsp_cons);
int vgpu_ring_kick(struct vgpu_session *s);

/* vgpu_text.c */
ssize_t vgpu_text_run(struct vgpu_session *s, const char *text, size_t length);

/* vgpu_buffer.c */
int vgpu_buffer_add(struct vgpu_session *s, struct vgpu_stub_buffer *arg);
int vgpu_buffer_del(struct vgpu_session *s, u32 handle);
void vgpu_buffers_drop(struct vgpu_session *s, struct list_head *dropped);
void vgpu_buffers_release(struct list_head *dropped);

/* vgpu_mmap.c */
int vgpu_mmap(struct file *file, struct vm_area_struct *vma);
void vgpu_mmap_zap(struct vgpu_session *s);

/* vgpu_chrdev.c */
int vgpu_chrdev_init(void);
void vgpu_chrdev_exit(void);
int vgpu_chrdev_prepare(struct vgpu_dev *vdev, struct device *parent);
int vgpu_chrdev_add(struct vgpu_dev *vdev);
void vgpu_chrdev_del(struct vgpu_dev *vdev);

#endif /* VGPU_DRV_H */
