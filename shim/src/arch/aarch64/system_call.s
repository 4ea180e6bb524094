// system_call(number, first, second, third, fourth, fifth): the kernel's answer,
// a negative error number when it failed.
    mov x8, x0
    mov x0, x1
    mov x1, x2
    mov x2, x3
    mov x3, x4
    mov x4, x5
    svc #0
    ret
