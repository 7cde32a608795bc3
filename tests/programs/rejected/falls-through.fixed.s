; falls-through, as it is right

        r0 = 2
        if r1 == 0 goto out
        exit
out:    r0 = 1
        exit
