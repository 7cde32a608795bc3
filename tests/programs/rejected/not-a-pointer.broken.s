; not-a-pointer: a number is used as an address
;
; Only what the kernel hands out as an address is one. A number from the context, from a packet or a cast cannot be
; followed; tracing programs read such memory with bpf_probe_read_kernel or bpf_probe_read_user.
;
; Type: kprobe

        r2 = *(u64 *)(r1 + 112)     ; the first argument of the function
        r0 = *(u64 *)(r2 + 0)
        exit
