// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * latency: how long calls of a function take, as a histogram.
 *
 * Programs:  begin (uprobe), end (uretprobe), both on read in libc.so.6
 * Reads:     the clock, the thread id; pt_regs: the returned value
 * Maps:      started:   a hash, thread to the time of its call
 *            histogram: calls, an array: slot n counts durations of 2^n to 2^(n+1)-1 nanoseconds, slot 0
 *                       also those of 0
 *            summary:   an array of one: calls, failed calls, nanoseconds in all
 * Returns:   0, which nobody looks at
 * Builds:    v3, v4, O0
 *
 * x86-64 only: PT_REGS_RC names a register of struct pt_regs.
 */
#define __TARGET_ARCH_x86

#include <linux/bpf.h>

#include <asm/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define SLOTS 40 /* up to 18 minutes */

struct summary {
	__u64 calls;
	__u64 failures;
	__u64 nanoseconds;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* process id in the high half, thread id in the low */
	__type(value, __u64);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} histogram SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct summary);
} summary SEC(".maps");

/* The position of the highest bit that is set; 0 for 0. */
static inline __u32 log2(__u64 value)
{
	__u32 result = 0;

	for (int step = 32; step; step >>= 1) {
		if (value >> step) {
			value >>= step;
			result += step;
		}
	}
	return result;
}

SEC("uprobe/libc.so.6:read")
int begin(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&started, &thread, &now, BPF_ANY);
	return 0;
}

SEC("uretprobe/libc.so.6:read")
int end(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *start = bpf_map_lookup_elem(&started, &thread);
	struct summary *sum;
	__u32 slot, first = 0;
	__u64 duration, *calls;

	if (!start) /* the call began before we did */
		return 0;
	duration = bpf_ktime_get_ns() - *start;
	bpf_map_delete_elem(&started, &thread);

	slot = log2(duration);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	calls = bpf_map_lookup_elem(&histogram, &slot);
	if (calls)
		__sync_fetch_and_add(calls, 1);

	sum = bpf_map_lookup_elem(&summary, &first);
	if (sum) {
		__sync_fetch_and_add(&sum->calls, 1);
		__sync_fetch_and_add(&sum->nanoseconds, duration);
		if ((long)PT_REGS_RC(ctx) < 0)
			__sync_fetch_and_add(&sum->failures, 1);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
