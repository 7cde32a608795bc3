// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * stack_trace: which call paths lead to malloc.
 *
 * Programs:  sample (uprobe on malloc in libc.so.6)
 * Reads:     pt_regs: the requested size; the stack of the process
 * Maps:      stacks: stack id to addresses, innermost first
 *            paths:  a hash, stack id to struct path
 *            raw:    addresses of the last call, from bpf_get_stack: an array of one
 * Returns:   0, which nobody looks at
 * Builds:    v3, v4
 *
 * x86-64 only: PT_REGS_PARM1 names a register of struct pt_regs.
 */
#define __TARGET_ARCH_x86

#include <linux/bpf.h>

#include <asm/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define DEPTH 32

struct addresses {
	__u64 address[DEPTH];
};

struct path {
	__u64 calls;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct addresses);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct path);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct addresses);
} raw SEC(".maps");

__u64 failures;
__s64 last_size; /* of the stack, in bytes */

SEC("uprobe/libc.so.6:malloc")
int sample(struct pt_regs *ctx)
{
	__u32 first = 0, key;
	struct addresses *last = bpf_map_lookup_elem(&raw, &first);
	struct path *path, new = { .calls = 1, .bytes = PT_REGS_PARM1(ctx) };
	__s64 id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);

	if (last)
		last_size = bpf_get_stack(ctx, last, sizeof(*last), BPF_F_USER_STACK);
	if (id < 0) { /* -EEXIST: another stack has the same hash; -EFAULT: there is none */
		__sync_fetch_and_add(&failures, 1);
		return 0;
	}
	key = id;
	path = bpf_map_lookup_elem(&paths, &key);
	if (path) {
		__sync_fetch_and_add(&path->calls, 1);
		__sync_fetch_and_add(&path->bytes, PT_REGS_PARM1(ctx));
	} else {
		bpf_map_update_elem(&paths, &key, &new, BPF_NOEXIST);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
