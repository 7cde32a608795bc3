// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * license: a helper for GPL-compatible programs
 *
 * Some helpers may only be called by programs under a licence that is compatible with the GPL, which the section "license"
 * says.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter")
int broken(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 first = 0;

	bpf_probe_read_kernel(&first, sizeof(first), (void *)ctx->args[0]);
	return 0;
}

SEC("raw_tp/sys_enter")
int fixed(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 first = ctx->args[0];

	return first == 0;
}

char _license[] SEC("license") = "Proprietary";
