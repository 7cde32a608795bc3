// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * xdp_meta: leave a note in front of a packet for whoever takes it next.
 *
 * Programs:  annotate (xdp) writes the note, then jumps to consume (xdp), which reads it
 * Reads:     the Ethernet header
 * Maps:      classes: packets, an array indexed by the class that consume finds in the note
 *            next:    a prog array, slot 0 is consume
 * Returns:   XDP_PASS; XDP_DROP for class 0; XDP_ABORTED without room or without a note
 * Builds:    v3, v4
 *
 * The metadata area lies between data_meta and data.  A tc program finds it there as well.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define CLASSES 4

struct note {
	__u32 magic;
	__u32 class; /* 0 neither of these, 1 IPv4, 2 IPv6, 3 ARP */
};

#define NOTE_MAGIC 0x6e6f7465

int consume(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} next SEC(".maps") = {
	.values = { [0] = (void *)&consume },
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, __u32);
	__type(value, __u64);
} classes SEC(".maps");

SEC("xdp")
int annotate(struct xdp_md *ctx)
{
	struct ethhdr *ethernet;
	struct note *note;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)))
		return XDP_ABORTED;

	note = (void *)(long)ctx->data_meta;
	ethernet = (void *)(long)ctx->data;
	if ((void *)(note + 1) > (void *)ethernet)
		return XDP_ABORTED;
	if ((void *)(ethernet + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;

	note->magic = NOTE_MAGIC;
	note->class = 0;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		note->class = 1;
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		note->class = 2;
	else if (ethernet->h_proto == bpf_htons(ETH_P_ARP))
		note->class = 3;

	bpf_tail_call(ctx, &next, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int consume(struct xdp_md *ctx)
{
	struct note *note = (void *)(long)ctx->data_meta;
	__u64 *packets;
	__u32 class;

	if ((void *)(note + 1) > (void *)(long)ctx->data || note->magic != NOTE_MAGIC)
		return XDP_ABORTED;
	class = note->class;
	packets = bpf_map_lookup_elem(&classes, &class);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	return class ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
