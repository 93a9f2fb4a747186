// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests need in the guest and busybox lacks: exact system calls with their errno, and
 * tasks that do one known thing. Built statically by scripts/build.sh.
 *
 *   insmod FILE [PARAMETERS]   finit_module(); prints "ok" or the name of the error, exits 0 or 1
 *   rmmod NAME                 delete_module() without waiting; the same
 *   write FILE DATA...         each DATA is one write() to the same open file (\n, \t, \0 and \\ are
 *                              understood; @PATH is what that file contains); prints what each
 *                              returned, or the name of the error
 *   file FILE OPERATION...     does these with one open file; but for what is read, prints a line
 *                              "-- OPERATION RESULT" of each, with the number or name of the error
 *                                read           read(), until it returns 0
 *                                read=BYTES     one read(), of at most so many
 *                                pread=OFFSET   one pread() of 4096 bytes
 *                                rewind, tell, end, seek=OFFSET   lseek()
 *                                poll=MS        poll() for input: its revents, or "timeout"
 *                                bad            a read() to an address that is not there
 *                                hold           says "held" on stderr, and waits for a SIGTERM
 *   badpointer FILE            a read() to, and a write() from such an address; prints the results
 *   reread FILE                prints the file, "--", and after a seek back to 0 the file again
 *   hold FILE BYTES            prints BYTES of FILE, says "held" on stderr, and goes on to the end
 *                              after a SIGTERM
 *
 * The following run a child, print "pid PID" of it, and when it has ended "rusage USER SYSTEM" in
 * microseconds. The child prints "ready" when it is in the state described, and stays there until
 * SIGTERM ends it.
 *
 *   pause
 *   burn user|sys MS           has used that much CPU time in user or kernel mode
 *   named NAME                 has this name (comm; escapes as above)
 *   grow MIB                   has that much more memory resident
 *   threads N MS               N threads, "tid TID" of each printed, have used MS each; SIGUSR1 ends
 *                              the last of them
 *   leader-exit N MS           the same, with the leader gone
 *   exec-nonleader             a second thread ("tid TID") has replaced the process by `pause`; it
 *                              does so at SIGUSR1, and is "ready" for that before
 *   vfork                      sleeps uninterruptibly in vfork(), its child ends with it
 *   zombie MS                  has used that much and exited ("ready" is its parent's word); it is
 *                              reaped when the parent ("parent PID") gets SIGTERM
 *   reuse PID                  has this PID, which must be free
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char **arguments;

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

static int insmod(const char *file, const char *parameters)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(file);
	return answer(syscall(SYS_finit_module, fd, parameters, 0));
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
	FILE *f = fopen(file, "re");
	size_t size = 64 << 20;
	char *data = malloc(size);

	if (!f || !data)
		fail(file);
	*length = fread(data, 1, size, f);
	fclose(f);
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

/* All signals that steer a child are blocked from the start and waited for. */
static sigset_t steering;

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

static int operate(const char *file, char **operations)
{
	static char buffer[1 << 20];
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		printf("-- open %s\n", strerrorname_np(errno));
		return 1;
	}
	for (; *operations; operations++) {
		char *name = *operations, *value = strchr(name, '=');
		long n = value ? number(value + 1) : 0;
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
			got = pread(fd, buffer, 4096, n);
			if (got > 0)
				fwrite(buffer, 1, got, stdout);
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
 * CPU time of this thread as of the last tick or switch. Asking clock_gettime() would bring it up to
 * date, and so hide from a test what taskmonitor sees of a task that just runs.
 */
static long own_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void burn_user(long ms)
{
	while (own_ms() < ms)
		for (volatile long i = 0; i < 1000000; i++)
			;
}

static void burn_sys(long ms)
{
	static char buffer[1 << 20];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/zero");
	while (own_ms() < ms)
		for (int i = 0; i < 20; i++)
			if (read(fd, buffer, sizeof(buffer)) < 0)
				fail("read");
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

static void be_named(void)
{
	arguments[0][unescape(arguments[0])] = 0;
	prctl(PR_SET_NAME, arguments[0]);
	rest();
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

#define THREADS_MAX 4096
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
	pthread_attr_setstacksize(&small, 32768);
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

/* Runs a child that is what `be` says, reaps it, and tells what it used. */
static int run(void (*be)(void))
{
	struct rusage u;
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be();
		exit(0);
	}
	printf("pid %d\n", child);
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
			rest();
		}
		if (child == pid) {
			printf("pid %d\n", child);
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
		{ "named", 1, be_named },
		{ "grow", 1, be_grow },
		{ "threads", 2, be_threads },
		{ "leader-exit", 2, be_leader_exit },
		{ "exec-nonleader", 0, be_exec_nonleader },
		{ "vfork", 0, be_vfork },
	};
	const char *command = argc > 1 ? argv[1] : "";

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
	if (argc == 3 && !strcmp(command, "badpointer"))
		return badpointer(argv[2]);
	if (argc >= 4 && !strcmp(command, "file"))
		return operate(argv[2], argv + 3);
	if (argc == 3 && !strcmp(command, "reread"))
		return reread(argv[2]);
	if (argc == 4 && !strcmp(command, "hold"))
		return hold(argv[2], number(argv[3]));
	if (argc == 3 && !strcmp(command, "zombie"))
		return zombie(number(argv[2]));
	if (argc == 3 && !strcmp(command, "reuse"))
		return reuse(number(argv[2]));
	for (size_t i = 0; i < sizeof(tasks) / sizeof(*tasks); i++) {
		if (strcmp(command, tasks[i].name) || argc != tasks[i].arguments + 2)
			continue;
		arguments = argv + 2;
		return run(tasks[i].be);
	}
	usage();
}
