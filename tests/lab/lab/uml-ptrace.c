/* ptrace() for user-mode Linux on processors with large registers, as a preloaded library.
 *
 * User-mode Linux of kernel 6.1 keeps 2696 bytes or less of a process's extended registers, up to those of AVX-512. Linux wants all of them when it
 * sets any, and a processor with AMX has 11008 bytes: PTRACE_SETREGSET then fails with EFAULT, and the guest's init is killed. Here what
 * it sets is laid over what the process has. Bytes beyond are tile registers, which no program has without asking for them. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A stack of the guest's kernel is small, and there is one thread that traces. */
static char whole[65536];

static long set_part(pid_t pid, void *type, const struct iovec *part) {
        struct iovec all = { whole, sizeof(whole) };

        if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, type, &all) < 0)
                return -1;
        if (part->iov_len >= all.iov_len) {
                errno = EFAULT;
                return -1;
        }
        (void) memcpy(whole, part->iov_base, part->iov_len);
        return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, type, &all);
}

long ptrace(enum __ptrace_request request, ...) {
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
        if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
                r = syscall(SYS_ptrace, request, pid, address, &word);
                if (r >= 0)
                        errno = 0;
                return r < 0 ? r : word;
        }
        r = syscall(SYS_ptrace, request, pid, address, data);
        if (r < 0 && errno == EFAULT && request == PTRACE_SETREGSET && address == (void *) NT_X86_XSTATE)
                r = set_part(pid, address, data);
        return r;
}
