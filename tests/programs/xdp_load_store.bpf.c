// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * xdp_load_store: answer pings by copying pieces of the packet in and out.
 *
 * Programs:  echo (xdp.frags)
 * Reads:     Ethernet, IPv4 without options, ICMP
 * Maps:      statistics: answered packets and their bytes, an array of one
 * Returns:   XDP_TX for an echo request turned into its reply, XDP_PASS for the rest
 * Builds:    v3, v4, O0
 *
 * bpf_xdp_load_bytes and bpf_xdp_store_bytes need no bounds checks and see the whole of a packet that
 * lies in several buffers; data and data_end show the first one only.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ECHO_REPLY 0
#define ECHO_REQUEST 8

struct icmp {
	__u8 type;
	__u8 code;
	__u16 checksum;
};

struct headers {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct icmp icmp;
} __attribute__((packed));

struct statistics {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct statistics);
} statistics SEC(".maps");

SEC("xdp.frags")
int echo(struct xdp_md *ctx)
{
	struct headers packet;
	struct statistics *answered;
	__u8 mac[ETH_ALEN];
	__be32 address;
	__u32 sum, first = 0;

	/* An error if the packet is shorter than that. */
	if (bpf_xdp_load_bytes(ctx, 0, &packet, sizeof(packet)))
		return XDP_PASS;
	if (packet.ethernet.h_proto != bpf_htons(ETH_P_IP) || packet.ip.ihl != 5)
		return XDP_PASS;
	if (packet.ip.protocol != IPPROTO_ICMP || packet.icmp.type != ECHO_REQUEST)
		return XDP_PASS;

	__builtin_memcpy(mac, packet.ethernet.h_source, ETH_ALEN);
	__builtin_memcpy(packet.ethernet.h_source, packet.ethernet.h_dest, ETH_ALEN);
	__builtin_memcpy(packet.ethernet.h_dest, mac, ETH_ALEN);

	/* Swapping two addresses does not change a sum. */
	address = packet.ip.saddr;
	packet.ip.saddr = packet.ip.daddr;
	packet.ip.daddr = address;

	/* The type goes from 8 to 0: the checksum grows by 8 in the high byte of a word. */
	packet.icmp.type = ECHO_REPLY;
	sum = bpf_ntohs(packet.icmp.checksum) + (ECHO_REQUEST << 8);
	packet.icmp.checksum = bpf_htons((sum & 0xffff) + (sum >> 16));

	if (bpf_xdp_store_bytes(ctx, 0, &packet, sizeof(packet)))
		return XDP_ABORTED;

	answered = bpf_map_lookup_elem(&statistics, &first);
	if (answered) {
		__sync_fetch_and_add(&answered->packets, 1);
		__sync_fetch_and_add(&answered->bytes, bpf_xdp_get_buff_len(ctx));
	}
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
