// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * multi: many programs and map definitions in one object.
 *
 * Programs:  first, second, third (tc, one section for three); drop (xdp); cpu (xdp/cpumap),
 *            port (xdp/devmap), large (xdp.frags); optional (?tc): not loaded unless asked for
 * Reads:     the length of the packet
 * Maps:      calls:   how often each program ran, an array that all of them share
 *            longest: the longest packet, an array of one
 *            sparse, spare: two hashes without preallocation, of one definition; spare is never used
 * Returns:   first, second, third: TC_ACT_OK, TC_ACT_SHOT, TC_ACT_PIPE; drop: XDP_DROP;
 *            cpu, port, large: XDP_PASS
 * Builds:    v3, v4
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

enum program {
	FIRST,
	SECOND,
	THIRD,
	DROP,
	CPU,
	PORT,
	LARGE,
	OPTIONAL,
	PROGRAMS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_NONE);
} longest SEC(".maps");

/* The same map type may be written once and used for several maps. */
struct by_length {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
};

struct by_length sparse SEC(".maps"), spare SEC(".maps");

/* Called from several sections: lies in .text, and the loader puts a copy behind each caller. */
static __noinline __u32 record(__u32 program, __u32 length)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&calls, &program);
	__u32 *maximum = bpf_map_lookup_elem(&longest, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
	if (maximum && length > *maximum)
		*maximum = length;
	return length;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	record(FIRST, skb->len);
	return TC_ACT_OK;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	record(SECOND, skb->len);
	return TC_ACT_SHOT;
}

SEC("tc")
int third(struct __sk_buff *skb)
{
	__u32 length = record(THIRD, skb->len);
	__u64 one = 1, *packets = bpf_map_lookup_elem(&sparse, &length);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(&sparse, &length, &one, BPF_ANY);
	return TC_ACT_PIPE;
}

SEC("?tc")
int optional(struct __sk_buff *skb)
{
	record(OPTIONAL, skb->len);
	return TC_ACT_UNSPEC;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	record(DROP, ctx->data_end - ctx->data);
	return XDP_DROP;
}

SEC("xdp/cpumap")
int cpu(struct xdp_md *ctx)
{
	record(CPU, ctx->data_end - ctx->data);
	return XDP_PASS;
}

SEC("xdp/devmap")
int port(struct xdp_md *ctx)
{
	record(PORT, ctx->data_end - ctx->data);
	return XDP_PASS;
}

SEC("xdp.frags")
int large(struct xdp_md *ctx)
{
	record(LARGE, bpf_xdp_get_buff_len(ctx));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
