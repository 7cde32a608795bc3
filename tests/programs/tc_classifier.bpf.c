// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tc_classifier: sort packets into classes and write the result where the stack can see it.
 *
 * Programs:  classify (tc), inspect (tc)
 * Reads:     classify: Ethernet, IPv4 and IPv6 headers, directly;
 *            inspect: the fields of struct __sk_buff
 * Maps:      classes: packets and bytes, an array indexed by enum class
 *            fields:  what inspect saw last, an array of one struct fields
 * Returns:   classify: TC_ACT_SHOT for TELNET, TC_ACT_UNSPEC for OTHER, otherwise TC_ACT_OK;
 *            inspect: TC_ACT_PIPE
 * Writes:    mark, priority, tc_classid, queue_mapping, cb
 * Builds:    v3, v4, O0
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum class {
	OTHER,
	BULK,
	INTERACTIVE,
	TELNET,
	CLASS_COUNT,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct fields {
	__u32 length;
	__u32 packet_type;
	__u32 protocol; /* network byte order, as the stack keeps it */
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 gso_segments;
	__u32 mark;
	__u32 priority;
	__u32 cb[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLASS_COUNT);
	__type(key, __u32);
	__type(value, struct counter);
} classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fields);
} fields SEC(".maps");

static inline enum class by_port(__u16 port)
{
	switch (port) {
	case 22:
	case 53:
		return INTERACTIVE;
	case 23:
		return TELNET;
	case 80:
	case 443:
		return BULK;
	default:
		return OTHER;
	}
}

/* Source and destination port stand first in TCP and in UDP. */
static inline enum class by_transport(void *transport, void *end, __u8 protocol)
{
	__be16 *ports = transport;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return OTHER;
	if ((void *)(ports + 2) > end)
		return OTHER;
	return by_port(bpf_ntohs(ports[1]));
}

static inline enum class by_network(void *network, void *end, __be16 protocol)
{
	if (protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = network;

		if ((void *)(ip + 1) > end)
			return OTHER;
		return by_transport(network + ip->ihl * 4, end, ip->protocol);
	}
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = network;

		if ((void *)(ip + 1) > end)
			return OTHER;
		return by_transport(ip + 1, end, ip->nexthdr);
	}
	return OTHER;
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	struct ethhdr *ethernet = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct counter *counter;
	__u32 class;

	if ((void *)(ethernet + 1) > end)
		return TC_ACT_SHOT;
	class = by_network(ethernet + 1, end, ethernet->h_proto);

	skb->mark = 0x100 | class;
	skb->priority = class == INTERACTIVE ? 6 : 0; /* TC_PRIO_INTERACTIVE */
	skb->tc_classid = 0x10000 | class; /* 1:class */
	skb->queue_mapping = class;
	skb->cb[0] = class;
	skb->cb[4] = skb->len;

	counter = bpf_map_lookup_elem(&classes, &class);
	if (counter) {
		__sync_fetch_and_add(&counter->packets, 1);
		__sync_fetch_and_add(&counter->bytes, skb->len);
	}
	switch (class) {
	case TELNET:
		return TC_ACT_SHOT;
	case OTHER:
		return TC_ACT_UNSPEC; /* let the next filter decide */
	default:
		return TC_ACT_OK;
	}
}

SEC("tc")
int inspect(struct __sk_buff *skb)
{
	__u32 first = 0;
	struct fields *seen = bpf_map_lookup_elem(&fields, &first);

	if (!seen)
		return TC_ACT_SHOT;
	seen->length = skb->len;
	seen->packet_type = skb->pkt_type;
	seen->protocol = skb->protocol;
	seen->vlan_present = skb->vlan_present;
	seen->vlan_tci = skb->vlan_tci;
	seen->gso_segments = skb->gso_segs;
	seen->mark = skb->mark;
	seen->priority = skb->priority;
	for (int i = 0; i < 5; i++)
		seen->cb[i] = skb->cb[i];
	return TC_ACT_PIPE;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
