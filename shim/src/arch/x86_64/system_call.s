# system_call(number, first, second, third, fourth, fifth): the kernel's answer,
# a negative error number when it failed.
    mov rax, rdi
    mov rdi, rsi
    mov rsi, rdx
    mov rdx, rcx
    mov r10, r8
    mov r8, r9
    syscall
    ret
