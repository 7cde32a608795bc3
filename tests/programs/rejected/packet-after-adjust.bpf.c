// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * packet-after-adjust: a pointer into the packet is used after the packet was moved
 *
 * Helpers that move or resize the packet (bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_skb_pull_data and others) make
 * all pointers into it useless, the checks against data_end as well: the bytes may be somewhere else. Read data and
 * data_end again, and check again.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;

	if (data + ETH_HLEN > (unsigned char *)data_end)
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, 4))
		return XDP_ABORTED;
	data[0] = 2;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	unsigned char *data;
	void *data_end;

	if (bpf_xdp_adjust_head(ctx, 4))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN > (unsigned char *)data_end)
		return XDP_PASS;
	data[0] = 2;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
