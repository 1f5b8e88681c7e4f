/* A child puts a page of its own into a pipe, and fills it again before the pipe is read. */
#include "common.h"

int main(void)
{
	int ends[2];

	kernel();
	pid_t pid = must(fork(), "fork");
	if (pid == 0) {
		char *buffer = pages(1);
		struct iovec part = { buffer, PAGE };
		must(pipe(ends), "pipe");
		memset(buffer, 'a', PAGE);
		must(vmsplice(ends[1], &part, 1, 0), "vmsplice");
		memset(buffer, 'b', PAGE);
		must(vmsplice(ends[1], &part, 1, 0), "vmsplice");
		_exit(0);
	}
	must(waitpid(pid, NULL, 0), "waitpid");
	return 0;
}
