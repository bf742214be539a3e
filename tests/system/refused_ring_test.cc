/// A kernel, or a container, that does not let kv-server have its ring.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "tests/system/server.h"

namespace kv::test {
namespace {

/// From here on io_uring_setup fails with `error` in this process. Between fork and exec.
void refuse_rings(int error) {
    const auto refusal = SECCOMP_RET_ERRNO | static_cast<unsigned>(error);
    sock_filter filter[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_io_uring_setup},
        {BPF_RET | BPF_K, 0, 0, refusal},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog program{std::size(filter), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(125);
    }
}

TEST(RefusedRing, IsOneSentenceThatSaysWhatToDo) {
    const struct {
        int error;
        std::string said;
    } cases[] = {
        {EPERM, "kernel.io_uring_disabled=0"},
        {EACCES, "kernel.io_uring_disabled=0"},
        {ENOSYS, "use Linux 6.1 or newer"},
        {EINVAL, "use Linux 6.1 or newer"},
        {ENOMEM, "ulimit -l"},
        {EMFILE, "Too many open files"},
    };
    const TemporaryDirectory scratch;
    for (const auto& c : cases) {
        SCOPED_TRACE(c.said);
        RunningProgram server(
            program("KV_SERVER"), {"--client-port", "0"},
            {.directory = scratch.path(), .in_child = [&c] { refuse_rings(c.error); }});
        EXPECT_EQ(server.wait(), 1);
        const std::string said = server.log();
        EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
        EXPECT_TRUE(said.starts_with("kv-server: ")) << said;
        EXPECT_TRUE(contains(said, "io_uring") && contains(said, c.said)) << said;
        EXPECT_EQ(server.out(), "");
    }
}

TEST(RefusedRing, DoesNotConcernWhatNeedsNone) {
    for (const char* flag : {"--version", "--check-config", "--print-config"}) {
        RunningProgram server(program("KV_SERVER"), {flag},
                              {.in_child = [] { refuse_rings(EPERM); }});
        EXPECT_EQ(server.wait(), 0) << server.log();
    }
}

}  // namespace
}  // namespace kv::test
