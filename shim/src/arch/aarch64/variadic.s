// f(path, argument 0, argument 1, ...) becomes implementation(path, argv).
//
// Arguments 0 to 6 arrive in registers, the others on the stack from sp up. Once
// the registers are stored right below it, all of them lie side by side in
// memory: an argv, without counting and without copying.
    stp x29, x30, [sp, #-80]!
    mov x29, sp
    stp x1, x2, [sp, #24]
    stp x3, x4, [sp, #40]
    stp x5, x6, [sp, #56]
    str x7, [sp, #72]
    add x1, sp, #24
    bl {implementation}
    ldp x29, x30, [sp], #80
    ret
