// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * packet-off-by-one: the check covers one byte less than the access
 *
 * There is a check, but of the wrong number: the byte at offset n exists if data + n + 1 is not beyond data_end. The
 * shortest packet that passes the check shows it.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	unsigned char *data_end = (void *)(long)ctx->data_end;

	if (data + ETH_HLEN > data_end)
		return XDP_PASS;
	return data[ETH_HLEN] >> 4 == 4 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	unsigned char *data_end = (void *)(long)ctx->data_end;

	if (data + ETH_HLEN + 1 > data_end)
		return XDP_PASS;
	return data[ETH_HLEN] >> 4 == 4 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
