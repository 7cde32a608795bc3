// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tracepoint: which files are opened, by whom.
 *
 * Programs:  enter_openat (tracepoint), exit_openat (tracepoint): system call openat
 * Reads:     the tracepoint's record, the file name in the memory of the process
 * Maps:      opens: a hash, process id to struct opens
 * Returns:   0: the record need not go on to perf
 * Builds:    v3, v4
 *
 * The layout of the record stands in events/syscalls/sys_enter_openat/format of tracefs.
 */
#include <linux/bpf.h>
#include <linux/fcntl.h>

#include <bpf/bpf_helpers.h>

#define NAME_LENGTH 64
#define COMMAND_LENGTH 16

struct syscall_enter {
	__u64 common; /* type, flags, preempt count, process: not for programs */
	__s64 number;
	__u64 arguments[6];
};

struct syscall_exit {
	__u64 common;
	__s64 number;
	__s64 result;
};

struct opens {
	__u64 calls;
	__u64 for_writing;
	__u64 failures;
	char command[COMMAND_LENGTH];
	char last_name[NAME_LENGTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct opens);
} opens SEC(".maps");

static const struct opens nothing;

SEC("tracepoint/syscalls/sys_enter_openat")
int enter_openat(struct syscall_enter *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	const char *name = (const char *)ctx->arguments[1];
	__u64 flags = ctx->arguments[2];
	struct opens *seen;

	bpf_map_update_elem(&opens, &process, &nothing, BPF_NOEXIST);
	seen = bpf_map_lookup_elem(&opens, &process);
	if (!seen)
		return 0;
	__sync_fetch_and_add(&seen->calls, 1);
	if (flags & (O_WRONLY | O_RDWR))
		__sync_fetch_and_add(&seen->for_writing, 1);
	bpf_get_current_comm(seen->command, sizeof(seen->command));
	bpf_probe_read_user_str(seen->last_name, sizeof(seen->last_name), name);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int exit_openat(struct syscall_exit *ctx)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct opens *seen = bpf_map_lookup_elem(&opens, &process);

	if (seen && ctx->result < 0)
		__sync_fetch_and_add(&seen->failures, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
