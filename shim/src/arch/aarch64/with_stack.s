// with_stack(size, context, enter): calls enter(buffer, context) with a buffer of
// `size` bytes, 16-byte aligned, below this frame.
//
// Every page on the way down is touched in order, so that a stack that is too
// small ends at its guard page and never beyond it. 4096 is the smallest page.
    stp x29, x30, [sp, #-16]!
    mov x29, sp
    sub x9, x29, x0
    and x9, x9, #-16
2:
    sub x10, sp, #4096
    cmp x10, x9
    b.lo 3f
    mov sp, x10
    str xzr, [sp]
    b 2b
3:
    mov sp, x9
    mov x0, x9
    blr x2
    mov sp, x29
    ldp x29, x30, [sp], #16
    ret
