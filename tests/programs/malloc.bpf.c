// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * malloc: how often, and for how much memory, each process calls malloc.
 *
 * Programs:  malloc_entry (uprobe), malloc_return (uretprobe), both on malloc in libc.so.6
 * Reads:     pt_regs: the requested size (first argument), the returned pointer
 * Maps:      allocations: a hash, process id to struct allocations
 * Returns:   0, which nobody looks at
 * Builds:    v3, v4, O0
 *
 * x86-64 only: PT_REGS_PARM1 and PT_REGS_RC name registers of struct pt_regs.
 */
#define __TARGET_ARCH_x86

#include <linux/bpf.h>

#include <asm/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct allocations {
	__u64 calls;
	__u64 bytes;   /* requested, over all calls */
	__u64 largest; /* requested by one call */
	__u64 failures;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct allocations);
} allocations SEC(".maps");

static inline __u32 current_process(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

SEC("uprobe/libc.so.6:malloc")
int malloc_entry(struct pt_regs *ctx)
{
	__u32 process = current_process();
	__u64 size = PT_REGS_PARM1(ctx);
	struct allocations first = { .calls = 1, .bytes = size, .largest = size };
	struct allocations *seen = bpf_map_lookup_elem(&allocations, &process);

	if (!seen) {
		/* BPF_NOEXIST: if another thread came first, add to what it wrote. */
		if (bpf_map_update_elem(&allocations, &process, &first, BPF_NOEXIST) == 0)
			return 0;
		seen = bpf_map_lookup_elem(&allocations, &process);
		if (!seen) /* the map is full */
			return 0;
	}
	__sync_fetch_and_add(&seen->calls, 1);
	__sync_fetch_and_add(&seen->bytes, size);
	if (size > seen->largest) /* two threads may race here: the lesser maximum can win */
		seen->largest = size;
	return 0;
}

SEC("uretprobe/libc.so.6:malloc")
int malloc_return(struct pt_regs *ctx)
{
	__u32 process = current_process();
	struct allocations *seen;

	if (PT_REGS_RC(ctx))
		return 0;
	seen = bpf_map_lookup_elem(&allocations, &process);
	if (seen)
		__sync_fetch_and_add(&seen->failures, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
