// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * lock: a helper is called while a spin lock is held
 *
 * Between bpf_spin_lock and bpf_spin_unlock a program calls no helper and no function: whatever takes long there makes
 * others wait.
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
	account->packets += bpf_get_smp_processor_id();
	bpf_spin_unlock(&account->lock);
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 zero = 0, cpu = bpf_get_smp_processor_id();
	struct account *account = bpf_map_lookup_elem(&accounts, &zero);

	if (!account)
		return XDP_PASS;
	bpf_spin_lock(&account->lock);
	account->packets += cpu;
	bpf_spin_unlock(&account->lock);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
