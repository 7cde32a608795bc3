// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * raw_tracepoint: count system calls by number, with the arguments as the kernel passes them.
 *
 * Programs:  count_syscall (raw_tp/sys_enter)
 * Reads:     args[1], the number; args[0], a pointer to the registers, is not followed
 * Maps:      syscalls: calls, an array indexed by system call number
 *            strange:  how many numbers were beyond the array
 * Returns:   the number
 * Builds:    v3, v4
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define SYSCALLS 512

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SYSCALLS);
	__type(key, __u32);
	__type(value, __u64);
} syscalls SEC(".maps");

__u64 strange;

SEC("raw_tp/sys_enter")
int count_syscall(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 number = ctx->args[1];
	__u32 index = number;
	__u64 *calls;

	calls = number < SYSCALLS ? bpf_map_lookup_elem(&syscalls, &index) : NULL;
	__sync_fetch_and_add(calls ? calls : &strange, 1);
	return index;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
