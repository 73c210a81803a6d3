# SLUICE_LIBRARY(VARIABLE, MODULE, VERSION, DEBIAN-PACKAGE, FEDORA-PACKAGE)
# Looks for a library; the missing are collected, so that one run of configure names them all.
AC_DEFUN([SLUICE_LIBRARY], [
        AC_REQUIRE([PKG_PROG_PKG_CONFIG])
        PKG_CHECK_MODULES([$1], [$2 >= $3], [], [
                sluice_missing="$sluice_missing
  $2 >= $3   Debian: $4   Fedora: $5"
                AC_MSG_RESULT([missing])
        ])
])

AC_DEFUN([SLUICE_LIBRARIES_REPORT], [
        AS_IF([test -n "$sluice_missing"], [
                AC_MSG_ERROR([these libraries are missing or too old:$sluice_missing])
        ])
])

# Where systemd, D-Bus and our own parts are installed. Fixed below prefix, so that distcheck can install anywhere.
AC_DEFUN([SLUICE_DIRECTORIES], [
        AC_SUBST([systemunitdir], ['$(prefix)/lib/systemd/system'])
        AC_SUBST([sysusersdir], ['$(prefix)/lib/sysusers.d'])
        AC_SUBST([tmpfilesdir], ['$(prefix)/lib/tmpfiles.d'])
        AC_SUBST([catalogdir], ['$(prefix)/lib/systemd/catalog'])
        AC_SUBST([dbuspolicydir], ['$(datadir)/dbus-1/system.d'])
        AC_SUBST([dbusservicedir], ['$(datadir)/dbus-1/system-services'])
        AC_SUBST([sluiceconfdir], ['$(sysconfdir)/sluice'])
        AC_SUBST([sluicedatadir], ['$(datadir)/sluice'])
        AC_SUBST([sluicesqldir], ['$(sluicedatadir)/sql'])
        AC_SUBST([sluicelibexecdir], ['$(libexecdir)/sluice'])
])

# --enable-sanitizers: AddressSanitizer and UndefinedBehaviorSanitizer, each finding fatal.
AC_DEFUN([SLUICE_SANITIZERS], [
        AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers], [build with ASan and UBSan])])
        AS_IF([test "x$enable_sanitizers" = xyes], [
                SANITIZER_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
        ])
        AC_SUBST([SANITIZER_FLAGS])
        AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" = xyes])
])

# --enable-fuzzers: libFuzzer, which comes with clang, looks for inputs; without it make check replays those that are known.
AC_DEFUN([SLUICE_FUZZERS], [
        AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers], [build the fuzzers for libFuzzer (CC=clang)])])
        AS_IF([test "x$enable_fuzzers" = xyes], [
                SANITIZER_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
        ])
        AM_CONDITIONAL([FUZZERS_ENABLED], [test "x$enable_fuzzers" = xyes])
])

# The warnings that earn their place with both gcc and clang; --enable-werror makes them errors.
AC_DEFUN([SLUICE_WARNINGS], [
        WARNING_FLAGS="-Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition"
        WARNING_FLAGS="$WARNING_FLAGS -Wpointer-arith -Wundef -Wvla -Wimplicit-fallthrough -Wno-format-nonliteral -Wno-missing-field-initializers"
        # gcc cannot see that an output is written on success only; clang, the sanitizers and valgrind watch instead.
        WARNING_FLAGS="$WARNING_FLAGS -Wno-unknown-warning-option -Wno-maybe-uninitialized"
        AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [treat warnings as errors])])
        AS_IF([test "x$enable_werror" = xyes], [WARNING_FLAGS="$WARNING_FLAGS -Werror"])
        AC_SUBST([WARNING_FLAGS])
])
