; unreachable, as it is right

        r0 = 2
        exit
