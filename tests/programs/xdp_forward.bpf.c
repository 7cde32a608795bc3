// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * xdp_forward: a small router.  Rewrite addresses, count down the TTL, keep every checksum right.
 *
 * Programs:  forward (xdp)
 * Reads:     Ethernet and IPv4 without VLAN tags; TCP and UDP checksums
 * Maps:      statistics: packets, an array indexed by enum step
 * Returns:   XDP_TX or XDP_REDIRECT for packets to a destination in routes, XDP_DROP for a TTL that
 *            has run out, XDP_ABORTED for a malformed header, XDP_PASS for everything else
 * Builds:    v3, v4, O0
 *
 * Two ways to keep a checksum right after a change: for one 16-bit word the arithmetic of RFC 1624,
 * written out (the TTL); for a longer piece bpf_csum_diff (the destination address).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ADDRESS(a, b, c, d) bpf_htonl((a) << 24 | (b) << 16 | (c) << 8 | (d))
#define IPV4_FRAGMENT_OFFSET 0x1fff

enum step {
	NOT_ROUTED,
	EXPIRED,
	SENT_BACK,
	REDIRECTED,
	STEP_COUNT,
};

struct route {
	__be32 destination;
	__be32 replacement;
	__u32 interface; /* 0: back out of where it came from */
	__u8 next_hop[ETH_ALEN];
	__u8 padding[2];
};

const volatile struct route routes[] = {
	{ ADDRESS(192, 0, 2, 2), ADDRESS(10, 0, 0, 2), 0, { 2, 0, 0, 0, 1, 2 }, {} },
	{ ADDRESS(198, 51, 100, 7), ADDRESS(198, 51, 100, 7), 1, { 2, 0, 0, 0, 1, 7 }, {} },
};
#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEP_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} statistics SEC(".maps");

static inline void count(__u32 step)
{
	__u64 *counter = bpf_map_lookup_elem(&statistics, &step);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

/* Fold the carries of a sum of 16-bit words back in. */
static inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 1624, equation 3: ~(~checksum + ~old + new). */
static inline __u16 replace_word(__u16 checksum, __u16 old, __u16 new)
{
	return ~fold((__u64)(__u16)~checksum + (__u16)~old + new);
}

static inline __u16 replace_address(__u16 checksum, __be32 old, __be32 new)
{
	__s64 sum = bpf_csum_diff(&old, sizeof(old), &new, sizeof(new), (__u16)~checksum);

	return ~fold((__u32)sum);
}

/* TCP and UDP sum up the addresses of the IP header too. */
static inline void fix_transport(struct iphdr *ip, void *end, __be32 old, __be32 new)
{
	void *transport = (void *)ip + ip->ihl * 4; /* behind the options */

	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		return;
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = transport;

		if ((void *)(tcp + 1) <= end)
			tcp->check = replace_address(tcp->check, old, new);
	} else if (ip->protocol == IPPROTO_UDP) {
		struct udphdr *udp = transport;

		if ((void *)(udp + 1) > end || !udp->check) /* 0: there is no checksum to keep */
			return;
		udp->check = replace_address(udp->check, old, new);
		if (!udp->check)
			udp->check = 0xffff;
	}
}

static inline void count_down_ttl(struct iphdr *ip)
{
	__be16 *word = (__be16 *)&ip->ttl; /* TTL and protocol make up one word of the checksum */
	__be16 old = *word;

	ip->ttl--;
	ip->check = replace_word(ip->check, old, *word);
}

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	__be32 old;

	if ((void *)ip > end)
		return XDP_ABORTED;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return XDP_ABORTED;

	old = ip->daddr;
	for (__u32 i = 0; i < ROUTE_COUNT; i++) {
		const volatile struct route *route = &routes[i];
		__be32 new = route->replacement;

		if (route->destination != old)
			continue;
		if (ip->ttl <= 1) {
			count(EXPIRED);
			return XDP_DROP;
		}
		count_down_ttl(ip);
		ip->check = replace_address(ip->check, old, new);
		fix_transport(ip, end, old, new);
		ip->daddr = new;

		__builtin_memcpy(ethernet->h_source, ethernet->h_dest, ETH_ALEN);
		for (int byte = 0; byte < ETH_ALEN; byte++)
			ethernet->h_dest[byte] = route->next_hop[byte];

		if (route->interface) {
			count(REDIRECTED);
			return bpf_redirect(route->interface, 0);
		}
		count(SENT_BACK);
		return XDP_TX;
	}
	count(NOT_ROUTED);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
