/* Reads the host's facts once, at start. */
#include "facts.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "directive.h"
#include "parse.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

int facts_read(Facts *ret, Error *e) {
        Facts facts = {};
        struct utsname name;
        struct sysinfo info;
        struct statfs fs;
        sd_id128_t boot;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        int r;

        if (statfs(CGROUP_ROOT, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
                return error_set(e, -EOPNOTSUPP, "no-cgroup2",
                                 CGROUP_ROOT " is not cgroup v2, which Sluice needs for limits and "
                                             "accounting. Boot with "
                                             "systemd.unified_cgroup_hierarchy=1.");
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return error_set(e, r, "no-boot-id", "Cannot read the boot id: %s.", strerror(-r));
        (void) sd_id128_to_string(boot, facts.boot);
        if (uname(&name) < 0 || sysinfo(&info) < 0)
                return error_set(e, -errno, "no-facts", "Cannot ask the kernel about the host: %s.",
                                 strerror(errno));
        (void) snprintf(facts.hostname, sizeof(facts.hostname), "%s", name.nodename);
        (void) snprintf(facts.kernel, sizeof(facts.kernel), "%s", name.release);
        (void) snprintf(facts.architecture, sizeof(facts.architecture), "%.31s", name.machine);
        facts.cpus = cpus < 1 ? 1 : (uint32_t) cpus;
        facts.memory_bytes = (uint64_t) info.totalram * info.mem_unit;
        *ret = facts;
        return 0;
}

int facts_check_systemd(const char *version, Error *e) {
        char digits[8] = {};
        uint32_t number = 0;

        version += strcspn(version, "0123456789");
        (void) memcpy(digits, version,
                      strspn(version, "0123456789") < sizeof(digits) - 1
                              ? strspn(version, "0123456789")
                              : sizeof(digits) - 1);
        if (parse_u32(digits, &number) < 0 || number < SYSTEMD_VERSION_MIN)
                return error_set(e, -EOPNOTSUPP, "old-systemd",
                                 "This host has systemd %s; Sluice needs %u or later.", version,
                                 SYSTEMD_VERSION_MIN);
        return 0;
}

void facts_write(const Facts *f, JsonOut *o) {
        json_out_text(o, "hostname", f->hostname);
        json_out_text(o, "systemd", f->systemd);
        json_out_text(o, "kernel", f->kernel);
        json_out_text(o, "architecture", f->architecture);
        json_out_u64(o, "cpus", f->cpus);
        json_out_u64(o, "memory_bytes", f->memory_bytes);
}
