// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * socket_filter: how much of each packet a socket gets to see.
 *
 * Programs:  filter (socket)
 * Reads:     the network header through bpf_skb_load_bytes_relative, the transport header through
 *            bpf_skb_load_bytes
 * Maps:      protocols: packets, a per-cpu array indexed by IP protocol; no locked instruction needed
 *            lengths:   bytes, the same
 * Returns:   how many bytes to keep: all of TCP and UDP, 64 of ICMP, none of the rest
 * Builds:    v3, v4, O0
 *
 * Where a socket's packets begin depends on the socket: a raw packet socket sees the Ethernet header,
 * a UDP socket the UDP header, Linux's test run the network header.  Reading relative to the network
 * header is right for all of them; the transport header is read only where the packet begins with IPv4.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ICMP_SNAP 64
#define KEEP_ALL 0xffffffff

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} protocols SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} lengths SEC(".maps");

__u16 last_destination_port;

static inline void add(void *map, __u32 protocol, __u64 amount)
{
	__u64 *sum = bpf_map_lookup_elem(map, &protocol);

	if (sum)
		*sum += amount; /* nobody else writes to this cpu's copy */
}

/* The IP protocol of the packet, or -1. */
static inline int network_protocol(struct __sk_buff *skb)
{
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
			return -1;
		return ip.protocol;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &ip6, sizeof(ip6), BPF_HDR_START_NET))
			return -1;
		return ip6.nexthdr;
	}
	return -1;
}

static inline void remember_port(struct __sk_buff *skb)
{
	__be16 port;
	__u8 first;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, 0, &first, sizeof(first)))
		return;
	if (first >> 4 != 4)
		return;
	if (!bpf_skb_load_bytes(skb, (first & 15) * 4 + 2, &port, sizeof(port)))
		last_destination_port = bpf_ntohs(port);
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	int protocol = network_protocol(skb);

	if (protocol < 0)
		return 0;
	add(&protocols, protocol, 1);
	add(&lengths, protocol, skb->len);
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		remember_port(skb);
		return KEEP_ALL;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return ICMP_SNAP;
	default:
		return 0;
	}
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
