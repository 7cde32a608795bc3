; unknown-helper, as it is right

        call bpf_get_smp_processor_id
        r0 = 2
        exit
