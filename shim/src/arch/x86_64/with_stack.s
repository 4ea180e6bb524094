# with_stack(size, context, enter): calls enter(buffer, context) with a buffer of
# `size` bytes, 16-byte aligned, below this frame.
#
# Every page on the way down is touched in order, so that a stack that is too
# small ends at its guard page and never beyond it.
    push rbp
    mov rbp, rsp
    mov rax, rsp
    sub rax, rdi
    and rax, -16
2:
    lea rcx, [rsp - 4096]
    cmp rcx, rax
    jb 3f
    mov rsp, rcx
    or dword ptr [rsp], 0
    jmp 2b
3:
    mov rsp, rax
    mov rdi, rax
    call rdx
    mov rsp, rbp
    pop rbp
    ret
