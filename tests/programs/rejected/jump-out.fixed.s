; jump-out, as it is right

        call one
        r0 = 2
        exit
one:    r0 = 1
        exit
