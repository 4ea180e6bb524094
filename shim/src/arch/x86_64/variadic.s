# f(path, argument 0, argument 1, ...) becomes implementation(path, argv).
#
# Arguments 0 to 4 arrive in registers, the others on the stack above the return
# address. Once the registers are pushed in place of that address, all of them
# lie side by side in memory: an argv, without counting and without copying.
    pop r11
    push r9
    push r8
    push rcx
    push rdx
    push rsi
    mov rsi, rsp
    push r11
    call {implementation}
    pop r11
    add rsp, 40
    push r11
    ret
