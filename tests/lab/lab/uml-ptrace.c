/* ptrace() for user-mode Linux on processors with large registers, as a preloaded library.
 *
 * User-mode Linux of kernel 6.1 keeps as much of a process's extended registers as there was when it was built. Linux wants all of
 * them when it sets any, and a processor with AMX has 11008 bytes: PTRACE_SETREGSET then fails with EFAULT, and the guest's init is
 * killed. Here what it sets is laid over what the process has. Beyond it are registers that no program has without asking for them. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* A stack of the guest's kernel is small, and there is one thread that traces. */
static char whole[65536];

/* Answers -errno, and leaves errno alone: the guest's interrupts are signals, whose handlers write there at any moment. */
static long call(long request, long pid, void *address, void *data) {
        register void *fourth __asm__("r10") = data;
        long r;

        __asm__ volatile("syscall"
                         : "=a"(r)
                         : "a"((long) SYS_ptrace), "D"(request), "S"(pid), "d"(address), "r"(fourth)
                         : "rcx", "r11", "memory");
        return r;
}

static long set_part(pid_t pid, void *type, const struct iovec *part) {
        struct iovec all = { whole, sizeof(whole) };
        long r = call(PTRACE_GETREGSET, pid, type, &all);

        if (r < 0)
                return r;
        if (part->iov_len >= all.iov_len)
                return -EFAULT;
        (void) memcpy(whole, part->iov_base, part->iov_len);
        return call(PTRACE_SETREGSET, pid, type, &all);
}

long ptrace(enum __ptrace_request request, ...) {
        bool peeks = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
                     request == PTRACE_PEEKUSER;
        long word = 0, r;
        va_list rest;
        pid_t pid;
        void *address, *data;

        va_start(rest, request);
        pid = va_arg(rest, pid_t);
        address = va_arg(rest, void *);
        data = va_arg(rest, void *);
        va_end(rest);
        /* The system call stores what the function answers. */
        r = call((long) request, pid, address, peeks ? (void *) &word : data);
        if (r == -EFAULT && request == PTRACE_SETREGSET && address == (void *) NT_X86_XSTATE)
                r = set_part(pid, address, data);
        if (r < 0) {
                errno = (int) -r;
                return -1;
        }
        if (peeks)
                errno = 0;
        return peeks ? word : r;
}
