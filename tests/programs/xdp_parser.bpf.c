// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * xdp_parser: take frames apart, layer by layer, and count what they carry.
 *
 * Programs:  parse (xdp)
 * Reads:     Ethernet, up to two VLAN tags (802.1Q, 802.1ad), ARP by name, IPv4 with options,
 *            IPv6 with extension headers, TCP, UDP, ICMP and ICMPv6
 * Maps:      protocols: packets and bytes, an array indexed by enum protocol
 *            flows:     packets and bytes, a hash keyed by the five-tuple; IPv4 addresses are
 *                       written as ::ffff:a.b.c.d, ports in host byte order
 *            verdicts:  packets, an array indexed by enum xdp_action
 * Returns:   XDP_ABORTED for a frame that contradicts itself or ends early, XDP_DROP for a
 *            destination port in blocked_ports, otherwise XDP_PASS
 * Builds:    v3, v4, O0
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLAN_TAGS 2
#define MAX_EXTENSION_HEADERS 6
#define ICMP_HEADER_LENGTH 8 /* ICMPv6 as well; <linux/icmp.h> drags in the C library */
#define IPV4_FRAGMENT_OFFSET 0x1fff /* the low 13 bits of iphdr.frag_off, in units of 8 bytes */
#define IPV6_FRAGMENT_OFFSET 0xfff8 /* the high 13 bits of the same field in IPv6, in bytes */
#define OPTIONS_MASK 0x3c /* IPv4 and TCP options: 0 to 40 bytes; the mask tells the verifier so */

enum protocol {
	ARP,
	IPV4_TCP,
	IPV4_UDP,
	IPV4_ICMP,
	IPV4_OTHER,
	IPV6_TCP,
	IPV6_UDP,
	IPV6_ICMP,
	IPV6_OTHER,
	NOT_IP,
	MALFORMED,
	PROTOCOL_COUNT,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct flow {
	__u8 source[16];
	__u8 destination[16];
	__u16 source_port;
	__u16 destination_port;
	__u8 ip_version;
	__u8 protocol; /* IPPROTO_* */
	__u16 padding; /* hash keys are compared byte by byte: no hole may stay unwritten */
};

/*
 * Enum keys are for whoever prints the maps.  Linux takes the BTF of an array only if its key is an
 * int; libbpf then says so and creates the map without BTF.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROTOCOL_COUNT);
	__type(key, enum protocol);
	__type(value, struct counter);
} protocols SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct counter);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, XDP_REDIRECT + 1);
	__type(key, enum xdp_action);
	__type(value, __u64);
} verdicts SEC(".maps");

/* telnet, Windows file sharing, Simple Service Discovery; a loader may write others here. */
const volatile __u16 blocked_ports[4] = { 23, 445, 1900, 0 };

struct vlan_tag {
	__be16 control; /* priority (3 bits), drop eligible (1), VLAN id (12) */
	__be16 next;    /* EtherType of what follows */
};

/* The part of a frame that is not parsed yet. */
struct cursor {
	void *at;
	void *end;
};

/* Step over `length` bytes and return their start, or NULL if the frame ends before them. */
static inline void *take(struct cursor *rest, __u32 length)
{
	void *start = rest->at;

	if (start + length > rest->end)
		return NULL;
	rest->at = start + length;
	return start;
}

static inline void ipv4_in_ipv6(__u8 address[16], __be32 ipv4)
{
	__builtin_memset(address, 0, 10);
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, &ipv4, sizeof(ipv4));
}

/* EtherType of the payload in host byte order, or -1. */
static inline int parse_ethernet(struct cursor *rest)
{
	struct ethhdr *ethernet = take(rest, sizeof(*ethernet));
	__be16 type;

	if (!ethernet)
		return -1;
	type = ethernet->h_proto;

	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan_tag *tag;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		tag = take(rest, sizeof(*tag));
		if (!tag)
			return -1;
		type = tag->next;
	}
	return bpf_ntohs(type);
}

/* Fill in addresses and protocol.  1 if a transport header follows, 0 if not, -1 if malformed. */
static inline int parse_ipv4(struct cursor *rest, struct flow *flow)
{
	void *start = rest->at;
	struct iphdr *ip = take(rest, sizeof(*ip));
	__u32 header_length, total_length;

	if (!ip || ip->version != 4)
		return -1;
	header_length = ip->ihl * 4;
	total_length = bpf_ntohs(ip->tot_len);
	if (header_length < sizeof(*ip) || total_length < header_length)
		return -1;
	if (start + total_length > rest->end)
		return -1;
	if (!take(rest, (header_length - sizeof(*ip)) & OPTIONS_MASK))
		return -1;

	flow->ip_version = 4;
	flow->protocol = ip->protocol;
	ipv4_in_ipv6(flow->source, ip->saddr);
	ipv4_in_ipv6(flow->destination, ip->daddr);
	return !(ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET)); /* ports are in the first fragment */
}

/* The same for IPv6; the protocol is what stands behind the extension headers. */
static inline int parse_ipv6(struct cursor *rest, struct flow *flow)
{
	struct ipv6hdr *ip = take(rest, sizeof(*ip));
	int has_transport = 1;
	__u8 next;

	if (!ip || ip->version != 6)
		return -1;
	if (rest->at + bpf_ntohs(ip->payload_len) > rest->end)
		return -1;
	flow->ip_version = 6;
	__builtin_memcpy(flow->source, &ip->saddr, sizeof(flow->source));
	__builtin_memcpy(flow->destination, &ip->daddr, sizeof(flow->destination));

	next = ip->nexthdr;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		struct ipv6_opt_hdr *extension;

		if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING) {
			extension = take(rest, sizeof(*extension));
			if (!extension || !take(rest, extension->hdrlen * 8 + 6))
				return -1;
			next = extension->nexthdr;
		} else if (next == IPPROTO_FRAGMENT) {
			__be16 *fragment = take(rest, 8); /* next and reserved, offset, identification */

			if (!fragment)
				return -1;
			if (fragment[1] & bpf_htons(IPV6_FRAGMENT_OFFSET))
				has_transport = 0;
			next = *(__u8 *)fragment;
			if (!has_transport)
				break;
		} else {
			break;
		}
	}
	flow->protocol = next;
	return has_transport;
}

/* Fill in the ports.  0, or -1 if malformed. */
static inline int parse_transport(struct cursor *rest, struct flow *flow)
{
	if (flow->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = take(rest, sizeof(*tcp));

		if (!tcp || tcp->doff < 5)
			return -1;
		if (!take(rest, (tcp->doff * 4 - sizeof(*tcp)) & OPTIONS_MASK))
			return -1;
		flow->source_port = bpf_ntohs(tcp->source);
		flow->destination_port = bpf_ntohs(tcp->dest);
	} else if (flow->protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(rest, sizeof(*udp));

		if (!udp || bpf_ntohs(udp->len) < sizeof(*udp))
			return -1;
		flow->source_port = bpf_ntohs(udp->source);
		flow->destination_port = bpf_ntohs(udp->dest);
	} else if (flow->protocol == IPPROTO_ICMP || flow->protocol == IPPROTO_ICMPV6) {
		if (!take(rest, ICMP_HEADER_LENGTH))
			return -1;
	}
	return 0;
}

static inline enum protocol classify(const struct flow *flow)
{
	if (flow->ip_version == 4) {
		switch (flow->protocol) {
		case IPPROTO_TCP:
			return IPV4_TCP;
		case IPPROTO_UDP:
			return IPV4_UDP;
		case IPPROTO_ICMP:
			return IPV4_ICMP;
		default:
			return IPV4_OTHER;
		}
	}
	switch (flow->protocol) {
	case IPPROTO_TCP:
		return IPV6_TCP;
	case IPPROTO_UDP:
		return IPV6_UDP;
	case IPPROTO_ICMPV6:
		return IPV6_ICMP;
	default:
		return IPV6_OTHER;
	}
}

/* What the frame carries; `flow` is filled in for IP and all zero for the rest. */
static inline enum protocol parse_frame(struct cursor *rest, struct flow *flow)
{
	int type = parse_ethernet(rest);
	int has_transport;

	if (type == ETH_P_IP)
		has_transport = parse_ipv4(rest, flow);
	else if (type == ETH_P_IPV6)
		has_transport = parse_ipv6(rest, flow);
	else if (type == ETH_P_ARP)
		return ARP;
	else
		return type < 0 ? MALFORMED : NOT_IP;

	if (has_transport < 0)
		return MALFORMED;
	if (has_transport && parse_transport(rest, flow) < 0)
		return MALFORMED;
	return classify(flow);
}

static inline void add(struct counter *counter, __u64 bytes)
{
	__sync_fetch_and_add(&counter->packets, 1);
	__sync_fetch_and_add(&counter->bytes, bytes);
}

static inline void count_flow(const struct flow *flow, __u64 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(&flows, flow);

	if (!counter) {
		struct counter zero = {};

		/* Another cpu may have been faster: BPF_NOEXIST keeps what it has counted. */
		bpf_map_update_elem(&flows, flow, &zero, BPF_NOEXIST);
		counter = bpf_map_lookup_elem(&flows, flow);
	}
	if (counter) /* not so if the map is full */
		add(counter, bytes);
}

static inline int is_blocked(__u16 port)
{
	for (int i = 0; i < 4; i++)
		if (blocked_ports[i] && blocked_ports[i] == port)
			return 1;
	return 0;
}

SEC("xdp")
int parse(struct xdp_md *ctx)
{
	struct cursor rest = {
		.at = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	__u64 bytes = rest.end - rest.at;
	struct flow flow = {};
	enum protocol protocol = parse_frame(&rest, &flow);
	enum xdp_action verdict = XDP_PASS;
	struct counter *counter;
	__u64 *packets;

	counter = bpf_map_lookup_elem(&protocols, &protocol);
	if (counter)
		add(counter, bytes);

	if (protocol == MALFORMED) {
		verdict = XDP_ABORTED;
	} else if (flow.ip_version) {
		count_flow(&flow, bytes);
		if (is_blocked(flow.destination_port))
			verdict = XDP_DROP;
	}

	packets = bpf_map_lookup_elem(&verdicts, &verdict);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	return verdict;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
