// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * live: everything a probe can learn of the thread that came to it.
 *
 * Programs:  enter (uprobe), leave (uretprobe); where, the user says: on a function that takes
 *            (any number, struct point *, string, bad pointer, string that ends where its page ends, and what
 *            would be a string but for that end)
 *            speak (uprobe): prints the first argument of any function
 * Reads:     clock, process, thread, user, cpu, command; pt_regs: six arguments, instruction and stack pointer,
 *            the returned value; what the arguments point to
 * Maps:      entered: a hash, thread id to struct entered, of the last call
 *            left:    a hash, thread id to struct left, of the last return
 * Returns:   0, which nobody looks at
 * Builds:    v3, v4
 *
 * x86-64 only: PT_REGS_PARM1 and its kind name registers of struct pt_regs.
 */
#define __TARGET_ARCH_x86

#include <linux/bpf.h>

#include <asm/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define COMMAND_LENGTH 16
#define TEXT_LENGTH 16

struct point {
	__s32 x;
	__s64 y;
};

struct text {
	__s64 result; /* of the helper: the length with the NUL, or an error */
	char content[TEXT_LENGTH];
};

struct entered {
	__u64 time;
	__u32 process;
	__u32 thread;
	__u32 user;
	__u32 group;
	__u32 cpu;
	char command[COMMAND_LENGTH];
	__u64 instruction_pointer;
	__u64 stack_pointer;
	__u64 return_address; /* read from the top of the stack */
	__u64 arguments[6];
	__s64 point_result;
	struct point point;
	struct text text;
	__s64 bad_result;
	__u64 bad_content; /* the helper fills with zeros what it cannot read */
	struct text edge;
	struct text torn;
};

struct left {
	__u64 time;
	__u32 process;
	__u32 thread;
	__u64 instruction_pointer;
	__u64 stack_pointer;
	__u64 result;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct entered);
} entered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct left);
} left SEC(".maps");

static const struct entered nothing; /* what an element is before it is filled */

static inline void read_text(struct text *text, __u64 address)
{
	text->result = bpf_probe_read_user_str(text->content, sizeof(text->content), (void *)address);
}

SEC("uprobe")
int enter(struct pt_regs *ctx)
{
	__u64 pair = bpf_get_current_pid_tgid();
	__u32 thread = pair;
	struct entered *seen;

	bpf_map_update_elem(&entered, &thread, &nothing, BPF_ANY);
	seen = bpf_map_lookup_elem(&entered, &thread);
	if (!seen)
		return 0;
	seen->time = bpf_ktime_get_ns();
	seen->process = pair >> 32;
	seen->thread = thread;
	pair = bpf_get_current_uid_gid();
	seen->user = pair;
	seen->group = pair >> 32;
	seen->cpu = bpf_get_smp_processor_id();
	bpf_get_current_comm(seen->command, sizeof(seen->command));
	seen->instruction_pointer = PT_REGS_IP(ctx);
	seen->stack_pointer = PT_REGS_SP(ctx);
	bpf_probe_read_user(&seen->return_address, sizeof(seen->return_address), (void *)PT_REGS_SP(ctx));
	seen->arguments[0] = PT_REGS_PARM1(ctx);
	seen->arguments[1] = PT_REGS_PARM2(ctx);
	seen->arguments[2] = PT_REGS_PARM3(ctx);
	seen->arguments[3] = PT_REGS_PARM4(ctx);
	seen->arguments[4] = PT_REGS_PARM5(ctx);
	seen->arguments[5] = ctx->r9; /* the sixth, for which older versions of libbpf have no name */
	seen->point_result = bpf_probe_read_user(&seen->point, sizeof(seen->point), (void *)PT_REGS_PARM2(ctx));
	read_text(&seen->text, PT_REGS_PARM3(ctx));
	seen->bad_content = ~0ULL;
	seen->bad_result = bpf_probe_read_user(&seen->bad_content, sizeof(seen->bad_content), (void *)PT_REGS_PARM4(ctx));
	read_text(&seen->edge, PT_REGS_PARM5(ctx));
	read_text(&seen->torn, ctx->r9);
	return 0;
}

SEC("uretprobe")
int leave(struct pt_regs *ctx)
{
	__u64 pair = bpf_get_current_pid_tgid();
	__u32 thread = pair;
	struct left seen = {
		.time = bpf_ktime_get_ns(),
		.process = pair >> 32,
		.thread = thread,
		.instruction_pointer = PT_REGS_IP(ctx),
		.stack_pointer = PT_REGS_SP(ctx),
		.result = PT_REGS_RC(ctx),
	};

	bpf_map_update_elem(&left, &thread, &seen, BPF_ANY);
	return 0;
}

SEC("uprobe")
int speak(struct pt_regs *ctx)
{
	bpf_printk("called with %d", (int)PT_REGS_PARM1(ctx));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
