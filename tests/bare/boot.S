/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of the bare guest: a multiboot header that QEMU's -kernel understands,
 * segments of our own, a stack, and off to C with the command line.
 */
	.set MAGIC, 0x1badb002
	.set FLAGS, 0

	.section .multiboot, "a"
	.align 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.global _start
_start:
	cli
	mov $stack_top, %esp
	lgdt gdt_pointer
	ljmp $8, $1f
1:	mov $16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	xor %eax, %eax
	testl $4, (%ebx)	/* does the loader give a command line? */
	jz 2f
	mov 16(%ebx), %eax
2:	push %eax
	call bare_main
3:	hlt
	jmp 3b

/*
 * The interrupt that counts.  It returns without iret: a KVM that emulates
 * unpaged code may not know that instruction in protected mode.  On the stack
 * lie eip, cs and eflags; cs is always ours.
 */
	.global on_message
on_message:
	push %eax
	incl interrupts
	movl $0, 0xfee000b0	/* end of interrupt, to the local APIC */
	mov 12(%esp), %eax
	xchg %eax, 4(%esp)	/* eflags now where eip was ... */
	mov %eax, 8(%esp)	/* ... and eip behind it */
	pop %eax
	popf
	ret $4

	.data
	.align 8
gdt:	.quad 0
	.quad 0x00cf9a000000ffff	/* code: all 4 GiB */
	.quad 0x00cf92000000ffff	/* data: the same */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.bss
	.align 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
