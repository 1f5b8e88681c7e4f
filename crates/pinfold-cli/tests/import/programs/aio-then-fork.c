/* Reads by io_submit are over when their program forks. */
#include "aio.h"

int main(void)
{
	kernel();
	int fd = direct(O_RDONLY);
	char *buffer = pages(1);
	memset(buffer, 1, PAGE);
	aio_context_t context = start();
	for (int i = 0; i < 4; i++) {
		submit(context, fd, buffer, 512);
		reap(context);
	}
	pid_t pid = child();
	buffer[1024] = 2;
	must(waitpid(pid, NULL, 0), "waitpid");
	return 0;
}
