// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests need in the guest and busybox lacks: exact system calls with their errno, and
 * tasks that do one known thing. Built statically by scripts/build.sh.
 *
 *   insmod FILE [PARAMETERS]   finit_module(); prints "ok" or the name of the error, exits 0 or 1
 *   rmmod NAME                 delete_module() without waiting; the same
 *   write FILE DATA...         each DATA is one write() to the same open file (\n, \t, \0 and \\ are
 *                              understood; @PATH is what that file contains), behind "@" to another one;
 *                              prints what each returned, or the name of the error
 *   file FILE OPERATION...     does these with one open file; but for what is read, prints a line
 *                              "-- OPERATION RESULT" of each, with the number or name of the error
 *                              (of what is written, without the data)
 *                                read           read(), until it returns 0
 *                                read=BYTES     one read(), of at most so many
 *                                pread=OFFSET   one pread() of a page
 *                                rewind, tell, end, seek=OFFSET   lseek()
 *                                poll=MS        poll() for input: its revents, or "timeout"
 *                                epoll=MS       the same with an epoll instance of its own, and how many
 *                                               files its fdinfo in /proc says that it waits for
 *                                uring=OFFSET   one read of 4096 bytes by io_uring, which asks for an offset
 *                                               whatever the file is; -1 is where the file is
 *                                bad            a read() to an address that is not there
 *                                write=DATA     one write() (escapes as above); the file is open for it, too
 *                                pwrite=DATA    one pwrite(), at offset 0
 *                                hold           says "held" on stderr, and waits for a SIGTERM
 *   blocked FILE DATA REST     one write() of DATA and REST, which gets as far as REST, says "held" on
 *                              stderr, and goes on after a SIGTERM; prints its result
 *   pagesize                   prints the size of a page, in bytes
 *   pin TID CPU...             lets the thread run on these processors alone; prints "ok" or the name of the error
 *   realtime TID PRIORITY      makes the thread one of SCHED_FIFO; prints the same
 *   badpointer FILE            a read() to, and a write() from such an address; prints the results
 *   reread FILE                prints the file, "--", and after a seek back to 0 the file again
 *   hold FILE BYTES            prints BYTES of FILE, says "held" on stderr, and goes on to the end
 *                              after a SIGTERM
 *   faults load FILE [PARAMETERS]   (a kernel with FAULT_INJECTION) insmod, with its first allocation
 *                              failing, then with its second, and so on until there is none left to
 *                              fail; what was loaded is unloaded
 *   faults unload FILE [PARAMETERS]   the same with rmmod, of a module that was loaded without faults
 *   faults write FILE DATA UNDO [CHECK]   the same with open() and a write(), behind which comes, when
 *                              it succeeded, a write() of UNDO without faults; when it failed, CHECK
 *                              contains what it did before
 *   faults read FILE           the same with open() and read() to the end, where a read() that fails
 *                              is repeated; each time all is read that is there
 *                              Each prints "faults N" and how often which result came, as "N RESULT"
 *   timens SECONDS COMMAND...  runs it in a time namespace whose CLOCK_BOOTTIME is that much ahead
 *   fault N FILE DATA          open() and a write() with their allocation N failing; prints "ok" or the
 *                              name of the error, and " injected" if there was an allocation N
 *
 * The following run a child, print "pid PID" of it, and when it has ended "rusage USER SYSTEM" in
 * microseconds. The child prints "ready" when it is in the state described, and stays there until
 * SIGTERM ends it.
 *
 *   pause
 *   burn user|sys MS           has used that much CPU time in user or kernel mode
 *   spin MS CPU                has used that much in kernel mode, and now loops in user mode on this
 *                              processor, until a signal kills it
 *   named NAME                 has this name (comm; escapes as above)
 *   renaming NAME NAME         changes its name all the while, from the one to the other
 *   grow MIB                   has that much more memory resident
 *   spread PAGES               has touched that many pages of memory on each processor it may run on
 *   threads N MS               N threads, "tid TID" of each printed, have used MS each; SIGUSR1 ends
 *                              the last of them
 *   leader-exit N MS           the same, with the leader gone
 *   exec-nonleader             a second thread ("tid TID") has replaced the process by `pause`; it
 *                              does so at SIGUSR1, and is "ready" for that before
 *   vfork                      sleeps uninterruptibly in vfork(), its child ends with it
 *   in GROUP TASK...           one of the above, which is in this cgroup (a directory) from its beginning
 *   unwaited GROUP TASK...     the same, and nobody waits for it: the kernel reaps it when it exits, and
 *                              "gone" is printed instead of its usage
 *   zombie MS                  has used that much and exited ("ready" is its parent's word); it is
 *                              reaped when the parent ("parent PID") gets SIGTERM
 *   reuse PID                  has this PID, which must be free
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static char **arguments;

/* The size of a page. */
static size_t page_size;

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "helper: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "helper: see the head of tests/helper.c\n");
	exit(2);
}

static long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (!*text || *end)
		usage();
	return value;
}

/* Prints a system call's result. */
static int answer(long result)
{
	puts(result < 0 ? strerrorname_np(errno) : "ok");
	return result < 0;
}

static long load_module(int fd, const char *parameters)
{
	return syscall(SYS_finit_module, fd, parameters, 0);
}

static int insmod(const char *file, const char *parameters)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(file);
	return answer(load_module(fd, parameters));
}

static size_t unescape(char *text)
{
	char *from = text, *to = text;

	for (; *from; from++) {
		if (*from == '\\' && from[1]) {
			from++;
			*to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from == '0' ? '\0' : *from;
		} else {
			*to++ = *from;
		}
	}
	return to - text;
}

/* Prints what a system call returned. */
static void print_result(long result)
{
	if (result < 0)
		fputs(strerrorname_np(errno), stdout);
	else
		printf("%ld", result);
}

static char *contents(const char *file, size_t *length)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	char *data = NULL;
	ssize_t n;

	if (fd < 0)
		fail(file);
	*length = 0;
	do {
		if (size - *length < 4096)
			data = realloc(data, size = 2 * size + 65536);
		if (!data)
			fail(file);
		n = read(fd, data + *length, size - *length);
		if (n < 0)
			fail(file);
		*length += n;
	} while (n);
	close(fd);
	return data;
}

static int write_all(const char *file, char **data)
{
	const char *separator = "";
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		fail(file);
	for (; *data; data++) {
		size_t length;
		char *bytes = *data;

		if (!strcmp(bytes, "@")) {
			fd = open(file, O_WRONLY | O_CLOEXEC);
			if (fd < 0)
				fail(file);
			continue;
		}
		if (*bytes == '@')
			bytes = contents(bytes + 1, &length);
		else
			length = unescape(bytes);
		fputs(separator, stdout);
		print_result(write(fd, bytes, length));
		separator = " ";
	}
	putchar('\n');
	return 0;
}

static void copy(int fd, size_t most)
{
	char buffer[4096];
	ssize_t n;

	while (most) {
		n = read(fd, buffer, most < sizeof(buffer) ? most : sizeof(buffer));
		if (n < 0)
			fail("read");
		if (!n)
			break;
		fwrite(buffer, 1, n, stdout);
		most -= n;
	}
	fflush(stdout);
}

static int reread(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(file);
	copy(fd, -1);
	puts("--");
	if (lseek(fd, 0, SEEK_SET) != 0)
		fail("lseek");
	copy(fd, -1);
	return 0;
}

/* --- allocations that fail: /proc/thread-self/fail-nth ------------------------------------------ */

static int fail_nth = -1;

/* Lets the allocation N from here on fail (of this thread, in the kernel). */
static void arm(long n)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld", n);

	if (pwrite(fail_nth, text, length, 0) != length)
		fail("fail-nth");
}

/* Ends that. Tells whether there was such an allocation; errno stays. */
static int disarm(void)
{
	int error = errno;
	char text[32] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0)
		fail("fail-nth");
	arm(0);
	errno = error;
	return atol(text) == 0;
}

#define RESULTS 16
static struct {
	const char *name;
	long count;
} results[RESULTS];

static void count_result(long result)
{
	const char *name = result < 0 ? strerrorname_np(errno) : "ok";

	for (int i = 0; i < RESULTS; i++) {
		if (!results[i].name)
			results[i].name = name;
		if (!strcmp(results[i].name, name)) {
			results[i].count++;
			return;
		}
	}
	fail("more kinds of results than anybody would believe");
}

static int loaded(void)
{
	return !access("/sys/module/taskmonitor", F_OK);
}

static sigset_t steering;

/* execve() enters the time namespace that was made for children. */
static void __attribute__((noreturn)) timens(long seconds, char **command)
{
	char offset[64];
	int length = snprintf(offset, sizeof(offset), "boottime %ld 0\n", seconds);
	int fd;

	if (unshare(CLONE_NEWTIME))
		fail("unshare");
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, offset, length) != length)
		fail("/proc/self/timens_offsets");
	sigprocmask(SIG_UNBLOCK, &steering, NULL);
	execvp(*command, command);
	fail(*command);
}

static long unload_module(void)
{
	return syscall(SYS_delete_module, "taskmonitor", O_NONBLOCK);
}

static void __attribute__((noreturn)) broken(long n, const char *what)
{
	printf("fault %ld: %s\n", n, what);
	exit(1);
}

static int fault_load(long n, char **argv, int argc)
{
	const char *parameters = argc > 1 ? argv[1] : "";
	int injected, fd = open(argv[0], O_RDONLY | O_CLOEXEC);
	long result;

	if (fd < 0)
		fail(argv[0]);
	arm(n);
	result = load_module(fd, parameters);
	injected = disarm();
	count_result(result);
	close(fd);
	if (result < 0 && loaded())
		broken(n, "failed, and the module is there");
	if (result < 0 && (!access("/sys/kernel/taskmonitor", F_OK) ||
			   !access("/sys/kernel/debug/taskmonitor", F_OK) ||
			   !access("/sys/kernel/debug/taskmonitor_follow", F_OK) ||
			   !access("/sys/kernel/debug/taskmonitor_tasks", F_OK) ||
			   !access("/sys/kernel/debug/taskmonitor_stats", F_OK)))
		broken(n, "failed, and a file is there");
	if (result == 0 && (access("/sys/kernel/taskmonitor", F_OK) ||
			    access("/sys/kernel/debug/taskmonitor", F_OK) ||
			    access("/sys/kernel/debug/taskmonitor_follow", F_OK) ||
			    access("/sys/kernel/debug/taskmonitor_tasks", F_OK) ||
			    access("/sys/kernel/debug/taskmonitor_stats", F_OK)))
		broken(n, "succeeded, and a file is missing");
	if (result == 0 && unload_module())
		fail("rmmod");
	return injected;
}

static int fault_unload(long n, char **argv, int argc)
{
	const char *parameters = argc > 1 ? argv[1] : "";
	int injected, fd = open(argv[0], O_RDONLY | O_CLOEXEC);
	long result;

	if (fd < 0 || load_module(fd, parameters))
		fail("insmod");
	close(fd);
	arm(n);
	result = unload_module();
	injected = disarm();
	count_result(result);
	if (result == 0 && loaded())
		broken(n, "succeeded, and the module is there");
	if (result < 0 && unload_module())
		fail("rmmod");
	return injected;
}

static int fault_write(long n, char **argv, int argc)
{
	static char *before;
	static size_t length_before;
	char *data = strdup(argv[1]), *undo = strdup(argv[2]);
	size_t length = unescape(data), undo_length = unescape(undo), length_now;
	int fd, injected;
	long result;

	if (argc > 3 && !before)
		before = contents(argv[3], &length_before);
	arm(n);
	result = fd = open(argv[0], O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		result = write(fd, data, length);
	injected = disarm();
	count_result(result);
	if (result >= 0 && result != (long)length)
		broken(n, "a part was written");
	if (result < 0 && argc > 3) {
		char *now = contents(argv[3], &length_now);

		if (length_now != length_before || memcmp(before, now, length_now))
			broken(n, "failed, and changed something");
		free(now);
	}
	if (fd >= 0)
		close(fd);
	if (result >= 0) {
		fd = open(argv[0], O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, undo, undo_length) != (long)undo_length)
			fail(argv[2]);
		close(fd);
	}
	free(data);
	free(undo);
	return injected;
}

static int fault_read(long n, char **argv, int argc)
{
	static char *whole, *got;
	static size_t length;
	size_t filled = 0;
	int fd, injected;
	long result, error = 0;

	(void)argc;
	if (!whole) {
		whole = contents(argv[0], &length);
		got = malloc(length + 4096);
	}
	arm(n);
	do {
		result = fd = open(argv[0], O_RDONLY | O_CLOEXEC);
		if (result < 0)
			error = errno;
	} while (result < 0 && errno == ENOMEM);
	if (fd < 0)
		fail(argv[0]);
	for (;;) {
		result = read(fd, got + filled, length + 4096 - filled);
		if (result < 0)
			error = errno;
		if (result < 0 && error != ENOMEM)
			break;
		if (!result || filled == length + 4096)
			break;
		if (result > 0)
			filled += result;
	}
	close(fd);
	injected = disarm();
	errno = error;
	count_result(error ? -1 : 0);
	if (filled != length || memcmp(whole, got, length))
		broken(n, "something else was read");
	return injected;
}

static void open_fail_nth(void)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		fail("/proc/thread-self/fail-nth");
	/* The pages of this program are no allocations of the module. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		fail("mlockall");
}

static int fault(long n, const char *file, char *data)
{
	size_t length = unescape(data);
	int fd, injected;
	long result;

	open_fail_nth();
	arm(n);
	result = fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		result = write(fd, data, length);
	injected = disarm();
	fputs(result < 0 ? strerrorname_np(errno) : "ok", stdout);
	puts(injected ? " injected" : "");
	return 0;
}

static int faults(const char *what, char **argv, int argc)
{
	const struct {
		const char *name;
		int least, most;
		int (*attempt)(long n, char **argv, int argc);
	} actions[] = {
		{ "load", 1, 2, fault_load },
		{ "unload", 1, 2, fault_unload },
		{ "write", 3, 4, fault_write },
		{ "read", 1, 1, fault_read },
	};
	long n = 0;

	open_fail_nth();
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (strcmp(what, actions[i].name) || argc < actions[i].least || argc > actions[i].most)
			continue;
		while (actions[i].attempt(++n, argv, argc))
			;
		printf("faults %ld\n", n - 1);
		for (int j = 0; j < RESULTS && results[j].name; j++)
			printf("%ld %s\n", results[j].count, results[j].name);
		return 0;
	}
	usage();
}

/* All signals that steer a child are blocked from the start and waited for. */
static int next_signal(void)
{
	int signal;

	sigwait(&steering, &signal);
	return signal;
}

static int hold(const char *file, size_t bytes)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(file);
	copy(fd, bytes);
	fprintf(stderr, "held\n");
	next_signal();
	copy(fd, -1);
	return 0;
}

/* What is to be written stands at the end of one page, and goes on in another, which is not there yet. */
struct blocked {
	const char *file;
	char *from;
	size_t length;
};

static void *blocked_writer(void *arg)
{
	struct blocked *blocked = arg;
	int fd = open(blocked->file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		fail(blocked->file);
	print_result(write(fd, blocked->from, blocked->length));
	putchar('\n');
	close(fd);
	return NULL;
}

static int write_blocked(const char *file, char *data, char *rest)
{
	size_t length = unescape(data), rest_length = unescape(rest);
	char *pages = mmap(NULL, 3 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct blocked blocked = { file, pages + page_size - length, length + rest_length };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (unsigned long)pages + page_size, page_size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy page = { .dst = (unsigned long)pages + page_size, .len = page_size };
	struct uffd_msg message;
	pthread_t thread;

	if (pages == MAP_FAILED || length > page_size || rest_length > page_size || fd < 0 ||
	    ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		fail("userfaultfd");
	memcpy(blocked.from, data, length);
	/* The page behind is what the missing one is to be. */
	memcpy(pages + 2 * page_size, rest, rest_length);
	page.src = (unsigned long)pages + 2 * page_size;
	if (pthread_create(&thread, NULL, blocked_writer, &blocked))
		fail("pthread_create");
	if (read(fd, &message, sizeof(message)) != sizeof(message) || message.event != UFFD_EVENT_PAGEFAULT)
		fail("userfaultfd");
	fprintf(stderr, "held\n");
	next_signal();
	if (ioctl(fd, UFFDIO_COPY, &page))
		fail("userfaultfd");
	pthread_join(thread, NULL);
	return 0;
}

/* An address that is not there; the compiler need not know. */
static char *volatile nowhere = (char *)8;

static int badpointer(const char *file)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail(file);
	print_result(read(fd, nowhere, 4096));
	putchar(' ');
	print_result(write(fd, nowhere, 100));
	putchar('\n');
	return 0;
}

static void wait_for_input(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, ms);

	if (n < 0)
		fail("poll");
	if (!n)
		printf("timeout");
	else
		printf("%s%s", p.revents & POLLIN ? "in" : "", p.revents & ~POLLIN ? " and more" : "");
}

static void wait_by_epoll(int fd, int ms)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC), n, files = 0;
	char name[64], line[256];
	FILE *info;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl");
	n = epoll_wait(epoll, &event, 1, ms);
	if (n < 0)
		fail("epoll_wait");
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", epoll);
	info = fopen(name, "re");
	if (!info)
		fail(name);
	while (fgets(line, sizeof(line), info))
		files += !strncmp(line, "tfd:", 4);
	fclose(info);
	close(epoll);
	printf("%s of %d", n ? "in" : "timeout", files);
}

/* One read, in a worker thread of the kernel. */
static ssize_t read_by_uring(int fd, void *buffer, size_t size, long offset)
{
	struct io_uring_params p = {};
	int ring = syscall(SYS_io_uring_setup, 1, &p), result;
	size_t length = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	size_t completions = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	char *queue;

	if (ring < 0)
		fail("io_uring_setup");
	if (length < completions)
		length = completions;
	queue = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || sqe == MAP_FAILED || !(p.features & IORING_FEAT_SINGLE_MMAP))
		fail("io_uring");
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.flags = IOSQE_ASYNC,
		.fd = fd,
		.off = offset,
		.addr = (unsigned long)buffer,
		.len = size,
	};
	*(unsigned int *)(queue + p.sq_off.array) = 0;
	__atomic_store_n((unsigned int *)(queue + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		fail("io_uring_enter");
	if (__atomic_load_n((unsigned int *)(queue + p.cq_off.tail), __ATOMIC_ACQUIRE) != 1)
		fail("io_uring: nothing completed");
	cqe = (struct io_uring_cqe *)(queue + p.cq_off.cqes);
	result = cqe->res;
	munmap(queue, length);
	munmap(sqe, sizeof(*sqe));
	close(ring);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static int operate(const char *file, char **operations)
{
	static char buffer[1 << 20];
	int fd, mode = O_RDONLY;

	for (char **operation = operations; *operation; operation++)
		if (!strncmp(*operation, "write=", 6) || !strncmp(*operation, "pwrite=", 7))
			mode = O_RDWR;
	fd = open(file, mode | O_CLOEXEC);
	if (fd < 0) {
		printf("-- open %s\n", strerrorname_np(errno));
		return 1;
	}
	for (; *operations; operations++) {
		char *name = *operations, *value = strchr(name, '=');
		long n = value && *name != 'w' && strncmp(name, "pw", 2) ? number(value + 1) : 0;
		ssize_t got = 0;

		if (!strcmp(name, "read")) {
			while ((got = read(fd, buffer, sizeof(buffer))) > 0)
				fwrite(buffer, 1, got, stdout);
		} else if (!strncmp(name, "read=", 5)) {
			got = read(fd, buffer, n < (long)sizeof(buffer) ? n : (long)sizeof(buffer));
			if (got > 0)
				fwrite(buffer, 1, got, stdout);
			if (got > 0 && buffer[got - 1] != '\n')
				putchar('\n');
		} else if (!strcmp(name, "bad")) {
			got = read(fd, nowhere, 4096);
		} else if (!strncmp(name, "pread=", 6)) {
			got = pread(fd, buffer, page_size, n);
			if (got > 0)
				fwrite(buffer, 1, got, stdout);
		} else if (!strncmp(name, "write=", 6)) {
			*value = '\0';
			got = write(fd, value + 1, unescape(value + 1));
		} else if (!strncmp(name, "pwrite=", 7)) {
			*value = '\0';
			got = pwrite(fd, value + 1, unescape(value + 1), 0);
		} else if (!strcmp(name, "rewind")) {
			got = lseek(fd, 0, SEEK_SET);
		} else if (!strncmp(name, "seek=", 5)) {
			got = lseek(fd, n, SEEK_SET);
		} else if (!strcmp(name, "tell")) {
			got = lseek(fd, 0, SEEK_CUR);
		} else if (!strcmp(name, "end")) {
			got = lseek(fd, 0, SEEK_END);
		} else if (!strncmp(name, "poll=", 5)) {
			printf("-- %s ", name);
			wait_for_input(fd, n);
			putchar('\n');
			continue;
		} else if (!strncmp(name, "epoll=", 6)) {
			printf("-- %s ", name);
			wait_by_epoll(fd, n);
			putchar('\n');
			continue;
		} else if (!strncmp(name, "uring=", 6)) {
			got = read_by_uring(fd, buffer, 4096, n);
			if (got > 0)
				fwrite(buffer, 1, got, stdout);
			if (got > 0 && buffer[got - 1] != '\n')
				putchar('\n');
		} else if (!strcmp(name, "hold")) {
			fflush(stdout);
			fprintf(stderr, "held\n");
			next_signal();
			continue;
		} else {
			usage();
		}
		printf("-- %s ", name);
		print_result(got);
		putchar('\n');
	}
	return 0;
}

/*
 * Whether this thread has used MS of CPU time, as of the last tick or switch. Asking clock_gettime()
 * would bring that up to date, and so hide from a test what taskmonitor sees of a task that just runs.
 * Asking getrusage() would fix how the kernel splits it so far: no part decreases later.
 */
static int has_used(int schedstat, long ms)
{
	char text[64] = "";

	if (pread(schedstat, text, sizeof(text) - 1, 0) <= 0)
		fail("/proc/thread-self/schedstat");
	return strtoull(text, NULL, 10) / 1000000 >= (unsigned long)ms;
}

static int own_schedstat(void)
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("/proc/thread-self/schedstat");
	return fd;
}

static void burn_user(long ms)
{
	int fd;

	if (!ms)
		return;
	fd = own_schedstat();
	while (!has_used(fd, ms))
		for (volatile long i = 0; i < 1000000; i++)
			;
	close(fd);
}

static void burn_sys(long ms)
{
	static char buffer[1 << 20];
	int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC), fd = own_schedstat();

	if (zeros < 0)
		fail("/dev/zero");
	while (!has_used(fd, ms))
		for (int i = 0; i < 20; i++)
			if (read(zeros, buffer, sizeof(buffer)) < 0)
				fail("read");
	close(zeros);
	close(fd);
}

static void rest(void)
{
	puts("ready");
	while (next_signal() != SIGTERM)
		;
	exit(0);
}

static void be_burn(void)
{
	long ms = number(arguments[1]);

	if (!strcmp(arguments[0], "user"))
		burn_user(ms);
	else if (!strcmp(arguments[0], "sys"))
		burn_sys(ms);
	else
		usage();
	rest();
}

static void be_spin(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(number(arguments[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		fail("sched_setaffinity");
	sigprocmask(SIG_UNBLOCK, &steering, NULL);
	burn_sys(number(arguments[0]));
	puts("ready");
	for (;;)
		;
}

static void be_named(void)
{
	arguments[0][unescape(arguments[0])] = 0;
	prctl(PR_SET_NAME, arguments[0]);
	rest();
}

static void be_renaming(void)
{
	for (int i = 0; i < 2; i++)
		arguments[i][unescape(arguments[i])] = 0;
	sigprocmask(SIG_UNBLOCK, &steering, NULL);
	puts("ready");
	for (int i = 0;; i = !i)
		prctl(PR_SET_NAME, arguments[i]);
}

static void be_grow(void)
{
	size_t size = number(arguments[0]) << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	rest();
}

static int pin(pid_t tid, char **cpus)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (*cpus)
		CPU_SET(number(*cpus++), &set);
	puts(sched_setaffinity(tid, sizeof(set), &set) ? strerrorname_np(errno) : "ok");
	return 0;
}

static int realtime(pid_t tid, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	puts(sched_setscheduler(tid, SCHED_FIFO, &param) ? strerrorname_np(errno) : "ok");
	return 0;
}

static void be_spread(void)
{
	size_t pages = number(arguments[0]), size = pages * page_size;
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all))
		fail("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		char *memory;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			fail("sched_setaffinity");
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED || (size && madvise(memory, size, MADV_NOHUGEPAGE) && errno != EINVAL))
			fail("mmap");
		for (size_t at = 0; at < size; at += page_size)
			((volatile char *)memory)[at] = 1;
	}
	if (sched_setaffinity(0, sizeof(all), &all))
		fail("sched_setaffinity");
	rest();
}

#define THREADS_MAX 16384
static struct worker {
	pthread_t thread;
	pid_t tid;
	long ms;
} workers[THREADS_MAX];
static int workers_count;
static pthread_barrier_t started, burnt;
static pthread_mutex_t last_lives = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *arg)
{
	struct worker *w = arg;

	w->tid = gettid();
	pthread_barrier_wait(&started);
	burn_user(w->ms);
	pthread_barrier_wait(&burnt);
	if (w == &workers[workers_count - 1]) {
		pthread_mutex_lock(&last_lives);
		return NULL;
	}
	for (;;)
		pause();
}

static void start_workers(long n, long ms)
{
	pthread_attr_t small;

	if (n < 1 || n > THREADS_MAX)
		usage();
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384 + sysconf(_SC_THREAD_STACK_MIN));
	workers_count = n;
	pthread_barrier_init(&started, NULL, n + 1);
	pthread_barrier_init(&burnt, NULL, n + 1);
	pthread_mutex_lock(&last_lives);
	for (int i = 0; i < n; i++) {
		workers[i].ms = ms;
		if (pthread_create(&workers[i].thread, &small, work, &workers[i]))
			fail("pthread_create");
	}
	pthread_barrier_wait(&started);
	for (int i = 0; i < n; i++)
		printf("tid %d\n", workers[i].tid);
	pthread_barrier_wait(&burnt);
}

static void be_threads(void)
{
	start_workers(number(arguments[0]), number(arguments[1]));
	puts("ready");
	for (;;) {
		switch (next_signal()) {
		case SIGUSR1:
			pthread_mutex_unlock(&last_lives);
			pthread_join(workers[workers_count - 1].thread, NULL);
			puts("joined");
			break;
		case SIGTERM:
			exit(0);
		}
	}
}

static void *wait_for_leader(void *arg)
{
	char path[64], state = 0;

	(void)arg;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	while (state != 'Z') {
		FILE *f = fopen(path, "re");

		if (!f)
			fail(path);
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			fail(path);
		fclose(f);
		usleep(1000);
	}
	rest();
	return NULL;
}

static void be_leader_exit(void)
{
	pthread_t thread;

	start_workers(number(arguments[0]), number(arguments[1]));
	if (pthread_create(&thread, NULL, wait_for_leader, NULL))
		fail("pthread_create");
	pthread_exit(NULL);
}

static void *replace(void *arg)
{
	(void)arg;
	printf("tid %d\n", gettid());
	puts("ready");
	while (next_signal() != SIGUSR1)
		;
	execl("/proc/self/exe", "helper", "rest", NULL);
	fail("exec");
}

static void be_exec_nonleader(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, replace, NULL))
		fail("pthread_create");
	for (;;)
		pause();
}

static void be_vfork(void)
{
	pid_t parent = getpid();

	sigprocmask(SIG_UNBLOCK, &steering, NULL);
	if (!vfork()) {
		char path[64], stat[512], *state;
		int fd;
		ssize_t n;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(path, sizeof(path), "/proc/%d/stat", parent);
		do {
			fd = open(path, O_RDONLY | O_CLOEXEC);
			n = read(fd, stat, sizeof(stat) - 1);
			close(fd);
			stat[n > 0 ? n : 0] = 0;
			state = strrchr(stat, ')');
		} while (!state || state[2] != 'D');
		puts("ready");
		for (;;)
			pause();
	}
	_exit(0);
}

static const char *group;
static int unwaited;

/* A fork(), of a child that is in `group`. */
static pid_t fork_into_group(void)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail(group);
	args.cgroup = fd;
	return syscall(SYS_clone3, &args, sizeof(args));
}

/* Runs a child that is what `be` says, reaps it, and tells what it used. */
static int run(void (*be)(void))
{
	struct rusage u;
	pid_t child;

	if (unwaited)
		signal(SIGCHLD, SIG_IGN);
	child = group ? fork_into_group() : fork();
	if (child < 0)
		fail("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Itself: whoever sees it "ready" is to know who. */
		printf("pid %d\n", getpid());
		be();
		exit(0);
	}
	if (unwaited) {
		/* It returns when there is no child any more. */
		if (wait4(child, NULL, 0, &u) != -1 || errno != ECHILD)
			fail("wait4");
		puts("gone");
		return 0;
	}
	if (wait4(child, NULL, 0, &u) != child)
		fail("wait4");
	printf("rusage %ld %ld\n", u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec,
	       u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec);
	return 0;
}

static int zombie(long ms)
{
	struct rusage u;
	siginfo_t info;
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (!child) {
		burn_user(ms);
		_exit(0);
	}
	if (waitid(P_PID, child, &info, WEXITED | WNOWAIT))
		fail("waitid");
	printf("pid %d\nparent %d\nready\n", child, getpid());
	while (next_signal() != SIGTERM)
		;
	if (wait4(child, NULL, 0, &u) != child)
		fail("wait4");
	printf("rusage %ld %ld\n", u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec,
	       u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec);
	return 0;
}

/* The kernel gives out PIDs in turn; another fork may come first, so try again. */
static int reuse(long pid)
{
	for (int i = 0; i < 1000; i++) {
		FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "we");
		pid_t child;

		if (!f)
			fail("ns_last_pid");
		fprintf(f, "%ld", pid - 1);
		fclose(f);
		child = fork();
		if (child < 0)
			fail("fork");
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getpid() != pid)
				_exit(0);
			printf("pid %d\n", getpid());
			rest();
		}
		if (child == pid) {
			waitpid(child, NULL, 0);
			return 0;
		}
		waitpid(child, NULL, 0);
	}
	fprintf(stderr, "helper: PID %ld is not free\n", pid);
	return 2;
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		int arguments;
		void (*be)(void);
	} tasks[] = {
		{ "pause", 0, rest },
		{ "burn", 2, be_burn },
		{ "spin", 2, be_spin },
		{ "named", 1, be_named },
		{ "renaming", 2, be_renaming },
		{ "grow", 1, be_grow },
		{ "spread", 1, be_spread },
		{ "threads", 2, be_threads },
		{ "leader-exit", 2, be_leader_exit },
		{ "exec-nonleader", 0, be_exec_nonleader },
		{ "vfork", 0, be_vfork },
	};
	const char *command = argc > 1 ? argv[1] : "";

	page_size = sysconf(_SC_PAGESIZE);
	setlinebuf(stdout);
	sigemptyset(&steering);
	sigaddset(&steering, SIGTERM);
	sigaddset(&steering, SIGUSR1);
	sigprocmask(SIG_BLOCK, &steering, NULL);
	if (argc == 2 && !strcmp(command, "rest"))
		rest();
	if ((argc == 3 || argc == 4) && !strcmp(command, "insmod"))
		return insmod(argv[2], argc == 4 ? argv[3] : "");
	if (argc == 3 && !strcmp(command, "rmmod"))
		return answer(syscall(SYS_delete_module, argv[2], O_NONBLOCK));
	if (argc >= 4 && !strcmp(command, "write"))
		return write_all(argv[2], argv + 3);
	if (argc == 5 && !strcmp(command, "blocked"))
		return write_blocked(argv[2], argv[3], argv[4]);
	if (argc == 2 && !strcmp(command, "pagesize"))
		return printf("%zu\n", page_size) < 0;
	if (argc >= 4 && !strcmp(command, "pin"))
		return pin(number(argv[2]), argv + 3);
	if (argc == 4 && !strcmp(command, "realtime"))
		return realtime(number(argv[2]), number(argv[3]));
	if (argc == 3 && !strcmp(command, "badpointer"))
		return badpointer(argv[2]);
	if (argc >= 4 && !strcmp(command, "file"))
		return operate(argv[2], argv + 3);
	if (argc == 3 && !strcmp(command, "reread"))
		return reread(argv[2]);
	if (argc == 4 && !strcmp(command, "hold"))
		return hold(argv[2], number(argv[3]));
	if (argc >= 4 && !strcmp(command, "timens"))
		timens(number(argv[2]), argv + 3);
	if (argc == 5 && !strcmp(command, "fault"))
		return fault(number(argv[2]), argv[3], argv[4]);
	if (argc >= 4 && !strcmp(command, "faults"))
		return faults(argv[2], argv + 3, argc - 3);
	if (argc == 3 && !strcmp(command, "zombie"))
		return zombie(number(argv[2]));
	if (argc == 3 && !strcmp(command, "reuse"))
		return reuse(number(argv[2]));
	if (argc >= 4 && (!strcmp(command, "in") || !strcmp(command, "unwaited"))) {
		unwaited = !strcmp(command, "unwaited");
		group = argv[2];
		argc -= 2;
		argv += 2;
		command = argv[1];
	}
	for (size_t i = 0; i < sizeof(tasks) / sizeof(*tasks); i++) {
		if (strcmp(command, tasks[i].name) || argc != tasks[i].arguments + 2)
			continue;
		arguments = argv + 2;
		return run(tasks[i].be);
	}
	usage();
}
