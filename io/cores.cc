#include "io/cores.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "io/uring/event_fd.h"
#include "io/uring/uring_backend.h"

namespace kv::io {

std::vector<int> usable_cpus() {
    cpu_set_t set;
    std::vector<int> cpus;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return {CoresOptions::not_bound};
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(static_cast<unsigned>(cpu), &set)) cpus.push_back(cpu);
    }
    return cpus;
}

namespace {

Status bind_this_thread(int cpu) {
    if (cpu == CoresOptions::not_bound) return {};
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(static_cast<unsigned>(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return {};
    return fail(Errc::config, fmt::format("this process may not use CPU {}", cpu));
}

/// What other threads posted to one core. Its operation is in flight from make() to destroy().
class Posts : private Op {
public:
    explicit Posts(Reactor& reactor) : Op(&Posts::completed), reactor_(reactor) {
        OpRequest request;
        request.code = OpCode::read;
        request.fd = event_.fd();
        request.offset = ~std::uint64_t{0};  // a stream: no position
        request.data = reinterpret_cast<std::byte*>(&count_);
        request.bytes = sizeof count_;
        set_request(request);
    }
    bool failed() const noexcept { return event_.failed(); }
    void open() { reactor_.backend().submit(*this); }
    void close() {
        closing_ = true;
        reactor_.backend().cancel(*this);
        Instant time{};
        while (in_flight()) reactor_.backend().poll(1s, time);
    }
    /// Any thread.
    void add(Cores::Work work) {
        const std::scoped_lock lock(mutex_);
        KV_ASSERT(works_.size() < Cores::works_max, "a core does not do what it is asked to");
        works_.push_back(std::move(work));
        event_.signal();
    }

private:
    static void completed(Op& op, std::int32_t, Completion) noexcept {
        auto& self = static_cast<Posts&>(op);
        if (self.closing_) return;
        std::vector<Cores::Work> works;
        {
            const std::scoped_lock lock(self.mutex_);
            works.swap(self.works_);
        }
        for (Cores::Work& work : works) work(self.reactor_);
        self.open();
    }

    Reactor& reactor_;
    const EventFd event_;
    std::uint64_t count_ = 0;
    bool closing_ = false;
    std::mutex mutex_;
    std::vector<Cores::Work> works_;  ///< guarded by the mutex
};

}  // namespace

struct Cores::Core {
    explicit Core(CoreId i) noexcept : id(i) {}

    const CoreId id;
    std::unique_ptr<UringBackend> backend;
    std::unique_ptr<Reactor> reactor;
    std::unique_ptr<Posts> posts;
    std::thread thread;  ///< none: the first core
    Status made;
};

/// Where the threads stand. Guarded by its mutex.
struct Cores::Shared {
    enum class Phase : std::uint8_t { make, run, destroy };

    void enter(Phase next) {
        const std::scoped_lock lock(mutex);
        phase = next;
        changed.notify_all();
    }
    Phase wait_beyond(Phase last) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return phase > last; });
        return phase;
    }
    void arrive() {
        const std::scoped_lock lock(mutex);
        ++arrived;
        changed.notify_all();
    }
    /// Waits until so many threads have arrived, and begins to count anew.
    void gather(std::size_t threads) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return arrived == threads; });
        arrived = 0;
    }

    std::mutex mutex;
    std::condition_variable changed;
    Phase phase = Phase::make;
    std::size_t arrived = 0;
    cpu_set_t callers_cpus{};  ///< of the thread that called start(), to be restored
};

Cores::Cores() noexcept = default;

Status Cores::make(Core& core, const CoresOptions& options) {
    KV_CHECK(bind_this_thread(options.cpus[core.id.value()]));
    auto backend = UringBackend::create(options.uring);
    if (!backend) return std::unexpected(backend.error());
    core.backend = *std::move(backend);
    core.reactor = std::make_unique<Reactor>(*core.backend, core.id, interconnect_.get());
    core.posts = std::make_unique<Posts>(*core.reactor);
    if (core.posts->failed()) return fail(Errc::io, "too many open files: no eventfd can be had");
    core.posts->open();
    return {};
}

void Cores::destroy(Core& core) {
    if (core.posts != nullptr) core.posts->close();
    core.posts.reset();
    core.reactor.reset();
    core.backend.reset();
}

void Cores::thread_main(Core& core, const CoresOptions& options) {
    pthread_setname_np(pthread_self(), fmt::format("kv-core-{}", core.id.value()).c_str());
    core.made = make(core, options);
    shared_->arrive();
    if (shared_->wait_beyond(Shared::Phase::make) == Shared::Phase::run) {
        core.reactor->run();
        shared_->arrive();
        shared_->wait_beyond(Shared::Phase::run);
    }
    destroy(core);
}

Result<std::unique_ptr<Cores>> Cores::start(const CoresOptions& options) {
    KV_ASSERT(!options.cpus.empty());
    std::unique_ptr<Cores> cores(new Cores);
    cores->shared_ = std::make_unique<Shared>();
    sched_getaffinity(0, sizeof cores->shared_->callers_cpus, &cores->shared_->callers_cpus);
    cores->interconnect_ =
        std::make_unique<Interconnect>(options.cpus.size(), options.mailbox_slots);
    for (std::size_t i = 0; i < options.cpus.size(); ++i)
        cores->cores_.push_back(std::make_unique<Core>(CoreId(static_cast<std::uint16_t>(i))));

    // On an error the destructor ends the threads that are there.
    Status made;
    std::size_t threads = 0;
    for (const auto& core : std::span(cores->cores_).subspan(1)) {
        try {
            core->thread = std::thread([&] { cores->thread_main(*core, options); });
            ++threads;
        } catch (const std::system_error& error) {
            made = fail(Errc::io, fmt::format("no thread can be had: {}", error.what()));
            break;
        }
    }
    if (made) made = cores->make(*cores->cores_.front(), options);
    cores->shared_->gather(threads);
    for (const auto& core : cores->cores_) {
        if (made) made = core->made;
    }
    KV_CHECK(made);

    std::vector<int> rings;
    for (const auto& core : cores->cores_) rings.push_back(core->backend->ring_fd());
    for (const auto& core : cores->cores_) {
        core->backend->set_peers(rings);
        cores->reactors_.push_back(core->reactor.get());
    }
    return cores;
}

void Cores::run() {
    shared_->enter(Shared::Phase::run);
    reactors_.front()->run();
    for (std::size_t i = 1; i < size(); ++i) {
        post(CoreId(static_cast<std::uint16_t>(i)), [](Reactor& reactor) { reactor.stop(); });
    }
    shared_->gather(size() - 1);
}

void Cores::post(CoreId core, Work work) {
    cores_[core.value()]->posts->add(std::move(work));
}

Cores::~Cores() {
    shared_->enter(Shared::Phase::destroy);
    destroy(*cores_.front());
    for (const auto& core : cores_) {
        if (core->thread.joinable()) core->thread.join();
    }
    sched_setaffinity(0, sizeof shared_->callers_cpus, &shared_->callers_cpus);
}

}  // namespace kv::io
