// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * lock-held: a spin lock is held when the program ends
 *
 * Whoever takes a lock releases it on every path. Here the early return keeps it for ever.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct account {
	struct bpf_spin_lock lock;
	__u32 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct account);
} accounts SEC(".maps");

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &zero);

	if (!account)
		return XDP_PASS;
	bpf_spin_lock(&account->lock);
	if (account->packets > 1000)
		return XDP_DROP;
	account->packets += 1;
	bpf_spin_unlock(&account->lock);
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &zero);
	int verdict = XDP_DROP;

	if (!account)
		return XDP_PASS;
	bpf_spin_lock(&account->lock);
	if (account->packets <= 1000) {
		account->packets += 1;
		verdict = XDP_PASS;
	}
	bpf_spin_unlock(&account->lock);
	return verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
