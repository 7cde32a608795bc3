// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * environment: everything a program can learn that is not in its input.
 *
 * Programs:  observe (xdp): clock, random numbers, cpu;
 *            identify (raw_tp/sys_enter): process, thread, user, command as well
 * Reads:     nothing of its context
 * Maps:      observed: an array of one struct observed, what was seen last
 * Returns:   observe: XDP_PASS or XDP_DROP by the toss of a coin; identify: 0
 * Builds:    v3, v4
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define COMMAND_LENGTH 16

struct observed {
	__u64 monotonic;  /* nanoseconds since boot, stops while suspended */
	__u64 since_boot; /* and goes on while suspended */
	__u64 coarse;     /* monotonic as of the last timer tick */
	__u64 jiffies;
	__u32 random;
	__u32 cpu;
	__u32 numa_node;
	__u32 process;
	__u32 thread;
	__u32 user;
	__u32 group;
	char command[COMMAND_LENGTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct observed);
} observed SEC(".maps");

static inline struct observed *look_around(void)
{
	__u32 first = 0;
	struct observed *seen = bpf_map_lookup_elem(&observed, &first);

	if (!seen)
		return NULL;
	seen->monotonic = bpf_ktime_get_ns();
	seen->since_boot = bpf_ktime_get_boot_ns();
	seen->jiffies = bpf_jiffies64();
	seen->random = bpf_get_prandom_u32();
	seen->cpu = bpf_get_smp_processor_id();
	seen->numa_node = bpf_get_numa_node_id();
	return seen;
}

SEC("xdp")
int observe(struct xdp_md *ctx)
{
	struct observed *seen = look_around();

	if (!seen)
		return XDP_ABORTED;
	seen->coarse = bpf_ktime_get_coarse_ns(); /* not for tracing programs */
	return seen->random & 1 ? XDP_PASS : XDP_DROP;
}

SEC("raw_tp/sys_enter")
int identify(struct bpf_raw_tracepoint_args *ctx)
{
	struct observed *seen = look_around();
	__u64 pair;

	if (!seen)
		return 0;
	pair = bpf_get_current_pid_tgid();
	seen->process = pair >> 32;
	seen->thread = pair;
	pair = bpf_get_current_uid_gid();
	seen->group = pair >> 32;
	seen->user = pair;
	bpf_get_current_comm(seen->command, sizeof(seen->command));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
