#include "io/uring/ring.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace kv::io {

namespace {

std::string refused(int error) {
    const std::string why = std::generic_category().message(error);
    switch (error) {
        case EINVAL: return "this kernel's io_uring lacks what is needed: use Linux 6.1 or newer";
        case ENOSYS: return "this kernel has no io_uring: use Linux 6.1 or newer";
        case EPERM:
        case EACCES:
            return "io_uring is refused here: allow it (sysctl kernel.io_uring_disabled=0, and a "
                   "container profile that permits io_uring_setup)";
        case ENOMEM:
            return "io_uring could not be set up, too little lockable memory: raise the limit "
                   "(ulimit -l, LimitMEMLOCK)";
        default: return fmt::format("io_uring could not be set up: {}", why);
    }
}

}  // namespace

void Ring::Unaligned::operator()(std::byte* memory) const noexcept {
    ::operator delete(memory, std::align_val_t{block_bytes});
}

Status Ring::open(const UringOptions& options) {
    options_ = options;
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                   IORING_SETUP_CLAMP;
    params.cq_entries = options.completions;
    const int result = io_uring_queue_init_params(options.submissions, &ring_, &params);
    if (result < 0) return fail(Errc::unsupported, refused(-result));
    open_ = true;
    // Saves the kernel a descriptor look-up at each entry.
    ring_registered_ = io_uring_register_ring_fd(&ring_) == 1;
    // Workers only run what blocks (opening files, allocating): two, beside this reactor's core.
    unsigned workers[2] = {2, 2};
    io_uring_register_iowq_max_workers(&ring_, workers);
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
        io_uring_register_iowq_aff(&ring_, sizeof cpus, &cpus);
    }
    return provide_buffers();
}

Status Ring::provide_buffers() {
    const std::size_t pool = std::size_t{options_.buffers} * options_.buffer_bytes;
    buffers_.reset(static_cast<std::byte*>(::operator new(pool, std::align_val_t{block_bytes})));
    const std::size_t ring_bytes = options_.buffers * sizeof(io_uring_buf);
    void* ring =
        mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (ring == MAP_FAILED) return fail(Errc::unsupported, refused(errno));
    buffer_ring_ = static_cast<io_uring_buf_ring*>(ring);
    io_uring_buf_ring_init(buffer_ring_);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring);
    registration.ring_entries = options_.buffers;
    registration.bgid = buffer_group;
    const int result = io_uring_register_buf_ring(&ring_, &registration, 0);
    if (result < 0) return fail(Errc::unsupported, refused(-result));
    for (unsigned id = 0; id < options_.buffers; ++id) recycle(static_cast<std::uint16_t>(id));
    return {};
}

Ring::~Ring() {
    if (open_) io_uring_queue_exit(&ring_);
    if (buffer_ring_ != nullptr) munmap(buffer_ring_, options_.buffers * sizeof(io_uring_buf));
}

void Ring::recycle(std::uint16_t id) noexcept {
    io_uring_buf_ring_add(buffer_ring_, buffer(id), options_.buffer_bytes, id,
                          io_uring_buf_ring_mask(options_.buffers), 0);
    io_uring_buf_ring_advance(buffer_ring_, 1);
}

io_uring_sqe* Ring::entry() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
        const int result = io_uring_submit(&ring_);
        KV_ASSERT(result >= 0 || result == -EBUSY || result == -EINTR || result == -EAGAIN,
                  "io_uring_submit: {}", result);
        sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
}

void Ring::enter(Duration wait_max) {
    int result = 0;
    if (wait_max > Duration::zero()) {
        __kernel_timespec timeout{};
        timeout.tv_sec = wait_max.count() / 1'000'000'000;
        timeout.tv_nsec = wait_max.count() % 1'000'000'000;
        io_uring_cqe* first = nullptr;
        result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    } else {
        result = io_uring_submit_and_get_events(&ring_);
    }
    // Interrupted, timed out, or completions to be taken first: the next turn goes on.
    KV_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
                  result == -EBUSY,
              "io_uring_enter: {}", std::generic_category().message(-result));
}

bool Ring::entry_needed() const noexcept {
    return io_uring_sq_ready(&ring_) != 0 || more_waits();
}

bool Ring::more_waits() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
}

std::string Ring::describe() const {
    return fmt::format("io_uring single_issuer defer_taskrun multishot buffers={}x{}{}",
                       options_.buffers, options_.buffer_bytes,
                       ring_registered_ ? " ring_registered" : "");
}

}  // namespace kv::io
