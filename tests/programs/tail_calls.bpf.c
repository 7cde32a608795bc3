// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tail_calls: jump from program to program, and see where a jump does not happen.
 *
 * Programs:  dispatch (xdp) jumps by EtherType to count_ipv4, count_ipv6 or count_arp;
 *            relay (xdp) jumps to itself until Linux stops it
 * Reads:     the EtherType
 * Maps:      stages: a prog array, filled in by the loader from its .values
 *            self:   a prog array with relay alone
 *            counts: packets, an array indexed by enum stage
 *            relays: one number, how often relay ran
 * Returns:   dispatch: XDP_PASS from a stage, XDP_DROP where no stage is (an empty slot, an index
 *            beyond the array); relay: XDP_PASS
 * Builds:    v3, v4, O0
 *
 * A tail call never returns when it succeeds: the next program runs on with the same context in
 * place of this one.  When it fails, the code behind it runs.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum stage {
	STAGE_IPV4,
	STAGE_IPV6,
	STAGE_ARP,
	STAGE_VLAN, /* an empty slot */
	STAGE_COUNT,
	STAGE_OTHER = 1000, /* beyond the array */
};

int count_ipv4(struct xdp_md *ctx);
int count_ipv6(struct xdp_md *ctx);
int count_arp(struct xdp_md *ctx);
int relay(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, STAGE_COUNT);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} stages SEC(".maps") = {
	.values = {
		[STAGE_IPV4] = (void *)&count_ipv4,
		[STAGE_IPV6] = (void *)&count_ipv6,
		[STAGE_ARP] = (void *)&count_arp,
	},
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} self SEC(".maps") = {
	.values = { [0] = (void *)&relay },
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STAGE_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} relays SEC(".maps");

static inline void increment(void *map, __u32 index)
{
	__u64 *count = bpf_map_lookup_elem(map, &index);

	if (count)
		__sync_fetch_and_add(count, 1);
}

SEC("xdp")
int count_ipv4(struct xdp_md *ctx)
{
	increment(&counts, STAGE_IPV4);
	return XDP_PASS;
}

SEC("xdp")
int count_ipv6(struct xdp_md *ctx)
{
	increment(&counts, STAGE_IPV6);
	return XDP_PASS;
}

SEC("xdp")
int count_arp(struct xdp_md *ctx)
{
	increment(&counts, STAGE_ARP);
	return XDP_PASS;
}

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 stage = STAGE_OTHER;

	if ((void *)(ethernet + 1) > end)
		return XDP_ABORTED;

	switch (bpf_ntohs(ethernet->h_proto)) {
	case ETH_P_IP:
		stage = STAGE_IPV4;
		break;
	case ETH_P_IPV6:
		stage = STAGE_IPV6;
		break;
	case ETH_P_ARP:
		stage = STAGE_ARP;
		break;
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		stage = STAGE_VLAN;
		break;
	}
	bpf_tail_call(ctx, &stages, stage);
	return XDP_DROP; /* the call did not happen */
}

SEC("xdp")
int relay(struct xdp_md *ctx)
{
	increment(&relays, 0);
	bpf_tail_call(ctx, &self, 0);
	return XDP_PASS; /* after MAX_TAIL_CALL_CNT (33) jumps: relay ran 34 times */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
