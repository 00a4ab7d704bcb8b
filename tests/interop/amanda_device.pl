#! /usr/bin/perl
# Amanda's NDMP device writes a file to a volume, and reads it back.
#
#   amanda_device.pl DEVICE PASSWORD write blocks|direct|indirect PART_BYTES FILE
#   amanda_device.pl DEVICE PASSWORD read blocks|direct PARTS FILE
#
# "blocks" moves every block in a TAPE_WRITE or TAPE_READ. "direct" has the
# mover listen and lets Amanda connect to it; "indirect" has Amanda listen and
# the mover connect. A volume has its label in tape file 0 and a part in each
# following one. Prints the parts written, or the parts and their headers read.

use strict;
use warnings;
use lib glob('/usr/lib/*/amanda/perl'), '/usr/lib/amanda/perl';
use Amanda::Config qw( :init );
use Amanda::Device qw( :constants );
use Amanda::Header;
use Amanda::MainLoop;
use Amanda::Util qw( :constants );
use Amanda::Xfer qw( :constants );
use Fcntl;

my ($name, $password, $task, $way, $number, $file) = @ARGV;
$number += 0;

Amanda::Util::setup_application("tapekit", "server", $CONTEXT_SCRIPTUTIL, "amanda", "amanda");
config_init(0, undef);

sub opened {
    my $device = Amanda::Device->new($name);
    need($device, $device->status() == $DEVICE_STATUS_SUCCESS);
    for my $pair (['ndmp_username', 'ndmp'], ['ndmp_password', $password],
                  ['indirect', $way eq 'indirect' ? 1 : 0]) {
        my $refusal = $device->property_set(@$pair);
        die "$pair->[0]: $refusal" if $refusal;
    }
    return $device;
}

sub need {
    my ($device, $ok) = @_;
    die "Amanda's device: " . $device->error_or_status() . "\n" unless $ok;
}

sub header {
    my $header = Amanda::Header->new();
    $header->{'type'} = $Amanda::Header::F_DUMPFILE;
    $header->{'datestamp'} = '20260102030405';
    $header->{'name'} = 'host';
    $header->{'disk'} = '/disk';
    $header->{'program'} = 'TAPEKIT';
    return $header;
}

# Runs a transfer; what happens in it goes to the callback by its type.
sub transfer {
    my ($elements, %on) = @_;
    my $transfer = Amanda::Xfer->new($elements);
    $transfer->start(sub {
        my ($source, $message) = @_;
        die "$message->{'elt'}: $message->{'message'}\n" if $message->{'type'} == $XMSG_ERROR;
        $on{'ready'}->() if $message->{'type'} == $XMSG_READY && $on{'ready'};
        $on{'part'}->($message) if $message->{'type'} == $XMSG_PART_DONE && $on{'part'};
        Amanda::MainLoop::quit() if $message->{'type'} == $XMSG_DONE;
    });
    Amanda::MainLoop::run();
}

sub write_volume {
    my $device = opened();
    sysopen(my $input, $file, O_RDONLY) or die "$file: $!";
    my $source = Amanda::Xfer::Source::Fd->new(fileno($input));
    my $begun = sub {
        need($device, $device->start($ACCESS_WRITE, 'TAPEKIT-01', '20260102030405'));
    };
    if ($way eq 'blocks') {
        $begun->();
        need($device, $device->start_file(header()));
        transfer([$source, Amanda::Xfer::Dest::Device->new($device, 0)]);
        print "part 1 ", -s $file, "\n";
    } else {
        my $dest = Amanda::Xfer::Dest::Taper::DirectTCP->new($device, $number);
        transfer([$source, $dest],
            ready => sub { $begun->(); $dest->start_part(0, header()) },
            part => sub {
                my ($part) = @_;
                die "part $part->{'partnum'} failed\n" unless $part->{'successful'};
                print "part $part->{'partnum'} $part->{'size'}\n";
                $dest->start_part(0, header()) unless $part->{'eof'};
            });
    }
    need($device, $device->finish());
}

sub read_volume {
    my $device = opened();
    need($device, $device->read_label() == $DEVICE_STATUS_SUCCESS);
    print "volume ", $device->volume_label(), "\n";
    sysopen(my $output, $file, O_WRONLY | O_CREAT | O_TRUNC) or die "$file: $!";
    my $dest = Amanda::Xfer::Dest::Fd->new(fileno($output));
    my $next = 1;
    my $sought = sub {
        my $found = $device->seek_file($next++);
        need($device, $found);
        print "part of $found->{'name'}:$found->{'disk'}\n";
    };
    # As Amanda::Recovery::Clerk does: the first part is found before a source
    # is made, since that has the mover read from where the tape stands.
    need($device, $device->start($ACCESS_READ, undef, undef));
    $sought->();
    if ($way eq 'blocks') {
        transfer([Amanda::Xfer::Source::Device->new($device), $dest]);
    } else {
        my $source = Amanda::Xfer::Source::Recovery->new($device);
        transfer([$source, $dest],
            ready => sub { $source->start_part($device) },
            part => sub {
                return $source->start_part(undef) if $next > $number;
                $sought->();
                $source->start_part($device);
            });
    }
    need($device, $device->finish());
}

$| = 1;
$task eq 'write' ? write_volume() : read_volume();
