// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * cgroup_skb: account for, and limit, the traffic of the processes of a cgroup.
 *
 * Programs:  ingress (cgroup_skb/ingress), egress (cgroup_skb/egress)
 * Reads:     the IP header: here packets begin with it
 * Maps:      traffic: packets and bytes each way, an array indexed by enum direction
 *            denied:  packets refused, a hash keyed by IP protocol
 * Returns:   1 to let the packet through, 0 to refuse it: coming in anything but TCP, UDP, ICMP;
 *            going out UDP to port 1900
 * Builds:    v3, v4, O0
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define REFUSE 0
#define ALLOW 1

enum direction {
	INGRESS,
	EGRESS,
	DIRECTIONS,
};

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DIRECTIONS);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} denied SEC(".maps");

static inline void account(struct __sk_buff *skb, __u32 direction)
{
	struct traffic *sum = bpf_map_lookup_elem(&traffic, &direction);

	if (sum) {
		__sync_fetch_and_add(&sum->packets, 1);
		__sync_fetch_and_add(&sum->bytes, skb->len);
	}
}

static inline int deny(__u32 protocol)
{
	__u64 *packets = bpf_map_lookup_elem(&denied, &protocol);
	__u64 one = 1;

	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(&denied, &protocol, &one, BPF_ANY);
	return REFUSE;
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u8 protocol;

	account(skb, INGRESS);
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data;

		if ((void *)(ip + 1) > end)
			return REFUSE;
		protocol = ip->protocol;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data;

		if ((void *)(ip + 1) > end)
			return REFUSE;
		protocol = ip->nexthdr;
	} else {
		return REFUSE;
	}

	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return ALLOW;
	default:
		return deny(protocol);
	}
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct udphdr udp;
	struct iphdr ip;

	account(skb, EGRESS);
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return ALLOW;
	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return REFUSE;
	if (ip.protocol != IPPROTO_UDP)
		return ALLOW;
	if (bpf_skb_load_bytes(skb, ip.ihl * 4, &udp, sizeof(udp)))
		return ALLOW;
	return udp.dest == bpf_htons(1900) ? deny(IPPROTO_UDP) : ALLOW;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
