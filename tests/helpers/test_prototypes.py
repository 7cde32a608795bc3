"""The declarations beside the prototypes that the running kernel's verifier works with, field by field."""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from support.kernel_prototypes import KernelPrototypes, Prototype, read_prototypes

from pybpftime import kernel
from pybpftime.helpers.declarations import DECLARATIONS, HelperDeclaration, Parameter

# Functions behind a helper that are not called like it: a prototype each, for some program types.
FUNCTIONS: Mapping[str, str] = {
    "bpf_probe_read": "bpf_probe_read_compat",
    "bpf_probe_read_str": "bpf_probe_read_compat_str",
    "bpf_get_prandom_u32": "bpf_user_rnd_u32",
    "bpf_get_smp_processor_id": "bpf_get_smp_processor_id bpf_get_raw_cpu_id",
    "bpf_get_cgroup_classid": "bpf_get_cgroup_classid bpf_get_cgroup_classid_curr",
    "bpf_redirect": "bpf_redirect bpf_xdp_redirect",
    "bpf_perf_event_output": "bpf_perf_event_output bpf_perf_event_output_tp bpf_perf_event_output_raw_tp "
    "bpf_event_output_data bpf_skb_event_output bpf_xdp_event_output",
    "bpf_skb_load_bytes": "bpf_skb_load_bytes bpf_flow_dissector_load_bytes sk_reuseport_load_bytes",
    "bpf_skb_load_bytes_relative": "bpf_skb_load_bytes_relative sk_reuseport_load_bytes_relative",
    "bpf_get_stackid": "bpf_get_stackid bpf_get_stackid_tp bpf_get_stackid_raw_tp bpf_get_stackid_pe",
    "bpf_skb_change_tail": "bpf_skb_change_tail sk_skb_change_tail",
    "bpf_skb_change_head": "bpf_skb_change_head sk_skb_change_head",
    "bpf_skb_pull_data": "bpf_skb_pull_data sk_skb_pull_data",
    "bpf_skb_adjust_room": "bpf_skb_adjust_room sk_skb_adjust_room",
    "bpf_get_socket_cookie": "bpf_get_socket_cookie bpf_get_socket_cookie_sock bpf_get_socket_cookie_sock_addr "
    "bpf_get_socket_cookie_sock_ops bpf_get_socket_ptr_cookie",
    "bpf_setsockopt": "bpf_sk_setsockopt bpf_unlocked_sk_setsockopt bpf_sock_addr_setsockopt bpf_sock_ops_setsockopt",
    "bpf_getsockopt": "bpf_sk_getsockopt bpf_unlocked_sk_getsockopt bpf_sock_addr_getsockopt bpf_sock_ops_getsockopt",
    "bpf_redirect_map": "bpf_xdp_redirect_map",
    "bpf_get_stack": "bpf_get_stack bpf_get_stack_tp bpf_get_stack_raw_tp bpf_get_stack_pe bpf_get_stack_sleepable",
    "bpf_fib_lookup": "bpf_skb_fib_lookup bpf_xdp_fib_lookup",
    "bpf_lwt_push_encap": "bpf_lwt_in_push_encap bpf_lwt_xmit_push_encap",
    "bpf_sk_select_reuseport": "sk_select_reuseport",
    "bpf_sk_lookup_tcp": "bpf_sk_lookup_tcp bpf_tc_sk_lookup_tcp bpf_xdp_sk_lookup_tcp bpf_sock_addr_sk_lookup_tcp",
    "bpf_sk_lookup_udp": "bpf_sk_lookup_udp bpf_tc_sk_lookup_udp bpf_xdp_sk_lookup_udp bpf_sock_addr_sk_lookup_udp",
    "bpf_skc_lookup_tcp": "bpf_skc_lookup_tcp bpf_tc_skc_lookup_tcp bpf_xdp_skc_lookup_tcp "
    "bpf_sock_addr_skc_lookup_tcp",
    "bpf_sk_storage_get": "bpf_sk_storage_get bpf_sk_storage_get_tracing",
    "bpf_sk_storage_delete": "bpf_sk_storage_delete bpf_sk_storage_delete_tracing",
    "bpf_skb_output": "bpf_skb_event_output",
    "bpf_xdp_output": "bpf_xdp_event_output",
    "bpf_get_netns_cookie": "bpf_get_netns_cookie bpf_get_netns_cookie_sock bpf_get_netns_cookie_sock_addr "
    "bpf_get_netns_cookie_sock_ops bpf_get_netns_cookie_sockopt bpf_get_netns_cookie_sk_msg",
    "bpf_sk_assign": "bpf_sk_assign bpf_sk_lookup_assign",
    "bpf_get_task_stack": "bpf_get_task_stack bpf_get_task_stack_sleepable",
    "bpf_load_hdr_opt": "bpf_sock_ops_load_hdr_opt",
    "bpf_store_hdr_opt": "bpf_sock_ops_store_hdr_opt",
    "bpf_reserve_hdr_opt": "bpf_sock_ops_reserve_hdr_opt",
    "bpf_task_storage_get": "bpf_task_storage_get bpf_task_storage_get_recur",
    "bpf_task_storage_delete": "bpf_task_storage_delete bpf_task_storage_delete_recur",
    "bpf_check_mtu": "bpf_skb_check_mtu bpf_xdp_check_mtu",
    "bpf_get_func_ip": "bpf_get_func_ip_kprobe bpf_get_func_ip_tracing bpf_get_func_ip_kprobe_multi "
    "bpf_get_func_ip_uprobe_multi",
    "bpf_get_attach_cookie": "bpf_get_attach_cookie_trace bpf_get_attach_cookie_pe bpf_get_attach_cookie_tracing "
    "bpf_get_attach_cookie_kprobe_multi bpf_get_attach_cookie_uprobe_multi",
    "bpf_get_func_arg": "get_func_arg",
    "bpf_get_func_ret": "get_func_ret",
    "bpf_get_func_arg_cnt": "get_func_arg_cnt",
}
# These ask for no licence where the others of their helper do; the declaration is the stricter one.
ANY_LICENSE = frozenset({"bpf_get_stackid_pe", "bpf_get_func_ip_kprobe_multi", "bpf_get_func_ip_uprobe_multi"})
# These see no packet, so that it does not matter whether they could read one.
NO_PACKETS = frozenset({"bpf_sock_addr_sk_lookup_tcp", "bpf_sock_addr_sk_lookup_udp", "bpf_sock_addr_skc_lookup_tcp"})
# No function: translated by the verifier, or left out by this kernel's configuration.
WITHOUT_FUNCTION = frozenset(
    {"bpf_tail_call", "bpf_probe_write_user", "bpf_override_return"}
    | {"bpf_rc_repeat", "bpf_rc_keydown", "bpf_rc_pointer_rel"}
)


def functions_of(declaration: HelperDeclaration) -> list[str]:
    return FUNCTIONS.get(declaration.name, declaration.name).split()


@pytest.fixture(scope="module")
def prototypes() -> KernelPrototypes:
    if sys.byteorder != "little" or sys.maxsize < 1 << 32:
        pytest.skip("needs a little-endian host of 64 bits")
    if reason := kernel.available():
        pytest.skip(f"needs bpf(2): {reason}")
    if not platform.release().startswith("6.18."):
        pytest.skip(f"needs Linux 6.18, this is {platform.release()}: releases differ in their prototypes")
    return read_prototypes({function for each in DECLARATIONS.values() for function in functions_of(each)})


def declared(declaration: HelperDeclaration, kernels: KernelPrototypes) -> Iterator[Prototype]:
    """The prototype that the declaration says, and one for each variant."""
    returns = declaration.returns
    for parameters in (declaration.parameters, *(variant.parameters for variant in declaration.variants)):
        yield Prototype(
            declaration.gpl_only,
            declaration.packet_access,
            declaration.may_sleep,
            kernels.value(returns.linux),
            _padded(parameters, [kernels.value(each.kind.linux) for each in parameters], 0),
            _padded(parameters, [each.kind.size for each in parameters], None),
            _padded(parameters, [each.kind.type_name for each in parameters], None),
            returns.type_name,
        )


def _padded(parameters: Sequence[Parameter], values: list[Any], missing: object) -> tuple[Any, ...]:
    return (*values, *[missing] * (5 - len(parameters)))


def test_every_helper_has_a_prototype_in_the_kernel(prototypes: KernelPrototypes) -> None:
    missing = {
        declaration.name
        for declaration in DECLARATIONS.values()
        if not any(function in prototypes.found for function in functions_of(declaration))
    }
    assert missing == WITHOUT_FUNCTION


def test_declarations_are_prototypes_of_the_kernel(prototypes: KernelPrototypes) -> None:
    """Licence, packet and sleep flags, result, arguments, sizes and types: each variant is there as declared."""
    different = []
    for declaration in DECLARATIONS.values():
        if declaration.name not in WITHOUT_FUNCTION:
            found = {each for function in functions_of(declaration) for each in prototypes.found.get(function, ())}
            different += [
                (declaration.name, each, found) for each in declared(declaration, prototypes) if each not in found
            ]
    assert not different


def test_prototypes_of_the_kernel_are_declared(prototypes: KernelPrototypes) -> None:
    """No program type gives a helper a prototype that no variant has."""
    ours: dict[str, set[Prototype]] = defaultdict(set)
    for declaration in DECLARATIONS.values():
        for function in functions_of(declaration):
            ours[function] |= set(declared(declaration, prototypes))
    different = [
        (function, each, ours[function])
        for function, found in prototypes.found.items()
        for each in found
        if _as_declared(function, each) not in ours[function]
    ]
    assert not different


def _as_declared(function: str, prototype: Prototype) -> Prototype:
    """With what a declaration says for all program types alike."""
    gpl_only = prototype.gpl_only or function in ANY_LICENSE
    return replace(prototype, gpl_only=gpl_only, packet_access=prototype.packet_access or function in NO_PACKETS)
